/* window.h: a file read from front to back in large pieces, for scans that must get past anything.
 * No state beyond the object; any thread; blocks. */
#ifndef CORE_QUEUE_WINDOW_H
#define CORE_QUEUE_WINDOW_H

#include "queue/record.h"

struct ph_window {
	int fd;
	uint64_t size;                  /* of the file */
	unsigned char *buf;
	size_t cap, len;
	uint64_t at;                    /* offset of buf[0] */
};

/* 0 or -errno; -EINVAL: not a regular file.  To be closed in both cases. */
int ph_window_open(struct ph_window *w, int dirfd, const char *file);
/* The same for an open file; the caller keeps fd. */
int ph_window_fd(struct ph_window *w, int fd);
void ph_window_close(struct ph_window *w);
/* n bytes at offset, valid until the next call; NULL: the file ends before.  Blocks that the disk cannot read are 0xff. */
const unsigned char *ph_window_get(struct ph_window *w, uint64_t at, size_t n);
#endif
