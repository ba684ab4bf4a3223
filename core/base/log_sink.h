/* log_sink.h: the file or socket behind log.c, which holds its lock around each call. */
#ifndef PH_BASE_LOG_SINK_H
#define PH_BASE_LOG_SINK_H

#include <stdatomic.h>
#include <sys/types.h>

#include <posthouse/base.h>

struct ph_log_sink {
	int fd;                         /* -1: none */
	bool is_socket;                 /* syslog, or the postlog service */
	bool is_service;                /* the latter: lines have neither priority nor time */
	int facility;
	char *path;                     /* maillog_file; NULL: syslog */
	char *service;                  /* socket of the postlog service, when path may not be opened; NULL: none */
	mode_t mode;                    /* of a new file */
	struct ph_buf pending;          /* whole lines, for syslog each with its "<pri>" in front */
	atomic_bool dirty;              /* pending is not empty */
	uint64_t lost, lost_told;
};

void ph_log_sink_init(struct ph_log_sink *k);
int ph_log_sink_open(struct ph_log_sink *k, const char *path, mode_t mode, const char *service, int facility);
int ph_log_sink_reopen(struct ph_log_sink *k);
void ph_log_sink_set_fd(struct ph_log_sink *k, int fd);
/* The same for a file that goes on in another: what is pending is for the new one (the old one may be compressed already). */
void ph_log_sink_switch(struct ph_log_sink *k, int fd);
/* line: "Mon dd hh:mm:ss host ident: text\n". */
void ph_log_sink_add(struct ph_log_sink *k, int priority, const char *line, size_t n);
void ph_log_sink_flush(struct ph_log_sink *k);
/* In a signal handler: write what is pending and this line, without touching the heap. */
void ph_log_sink_crash(struct ph_log_sink *k, const char *line, size_t n);
void ph_log_sink_forget(struct ph_log_sink *k);

#endif
