/* postcat.h: the two halves of postcat. */
#ifndef CMD_POSTCAT_H
#define CMD_POSTCAT_H

#include "queue/store.h"

struct ph_postcat {
	bool body, envelope, header;
	bool types, offsets, verbose;
};

/* One message.  fd: of its file; env: decoded; path: how it is called in the section lines. */
int ph_postcat_message(const struct ph_postcat *p, int fd, const char *path, const struct ph_msg_ref *ref, const struct ph_envelope *env,
		       struct ph_err *err);
/* A file of maildrop/, from where fd stands. */
int ph_postcat_maildrop(const struct ph_postcat *p, int fd, const char *path, struct ph_err *err);
#endif
