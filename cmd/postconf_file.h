/* postconf_file.h: a configuration file that is read, changed and replaced as a whole. */
#ifndef CMD_POSTCONF_FILE_H
#define CMD_POSTCONF_FILE_H

#include <posthouse/base.h>

struct pc_file {
	char *path;                     /* as the administrator knows it, for messages */
	char *target, *tmp;             /* behind symbolic links; the new file beside it, locked */
	int fd;
	struct ph_buf text;
};

/* Read DIR/name and take the lock that editors share.  Both exit on failure, with the file as it was. */
void pc_file_open(struct pc_file *f, const char *dir, const char *name);
/* Write text, make it durable, and put it in the file's place, with the old owner and mode. */
void pc_file_replace(struct pc_file *f, const struct ph_buf *text);

#endif
