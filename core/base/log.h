/* log.h: where log lines go. */
#ifndef PH_BASE_LOG_H
#define PH_BASE_LOG_H

#include <posthouse/base.h>

struct ph_log_config {
	const char *syslog_name;        /* "postfix"; NULL: the identity is prog alone */
	const char *prog;               /* "smtpd" */
	int facility;                   /* LOG_MAIL; 0 means LOG_MAIL */
	const char *maillog_file;       /* NULL: syslog; "/dev/stdout": our standard output */
	unsigned maillog_mode;          /* of a new maillog_file; 0: 0600 */
	const char *postlog_socket;     /* the postlog service: for a process that may not open maillog_file; NULL: syslog instead */
	bool discard;                   /* nowhere at all (but only_stderr counts) */
	bool also_stderr;               /* "prog: warning: text" on stderr, too */
	enum ph_log_level stderr_from;  /* ... of lines from this severity on; 0: all */
	bool stderr_full_name;          /* ... with "syslog_name/prog" in front */
	bool only_stderr;               /* nothing but stderr: command-line tools */
};

/* (Re)open the log.  Texts are copied.  0, or -errno when maillog_file cannot be opened; lines then go to
 * syslog.  Before the first call lines go to stderr.  The file or socket stays usable after a chroot. */
int ph_log_open(const struct ph_log_config *config);
/* Open maillog_file anew (after it has been rotated); the old one stays when that fails. */
int ph_log_reopen(void);
/* Take this descriptor (opened O_APPEND by somebody with the right to) as the log file. */
void ph_log_set_fd(int fd);
/* The descriptor that lines go to; -1: none. */
int ph_log_fd(void);
/* Write out what the current loop turn has collected.  The loop calls it; also before exec and _exit. */
void ph_log_flush(void);
/* Write each line at once (no loop runs: command-line tools).  The loop switches it off while it runs. */
void ph_log_set_immediate(bool on);
/* Log DEBUG lines of everybody (level > 0), not only of coroutines marked with ph_co_set_debug. */
void ph_log_set_verbose(int level);
/* Identity of lines that this helper thread logs; NULLs go back to the process's. */
void ph_log_set_thread_ident(const char *syslog_name, const char *prog);
/* As ph_log, with this in front of the program's name (a service's syslog_name); NULL: as ph_log. */
void ph_log_under(const char *syslog_name, enum ph_log_level level, const char *fmt, ...) PH_PRINTF(3, 4);
/* For the crash handler only: what is collected, then this line, without locks or the heap. */
void ph_log_crash(const char *syslog_name, const char *prog, const char *pid, const char *text);
/* A line that another process sent ("ident[pid]: text", any bytes, with our time and host in front): one line, printable, bounded. */
void ph_log_relay(const char *line, size_t n);
/* Lines that could not be written so far. */
uint64_t ph_log_lost(void);

#endif
