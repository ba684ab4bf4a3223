/* newfile.h: a table file that is built under a temporary name beside the real one, made durable, and renamed: readers see the
 * old table or the new one, never half of one; and locks against other writers. */
#ifndef LOOKUP_COMMON_NEWFILE_H
#define LOOKUP_COMMON_NEWFILE_H

#include <posthouse/base.h>
#include <sys/stat.h>

struct lnewfile {
	char *path, *temp;      /* temp NULL: none is open */
};

/* Make an empty temporary file for path with permissions perm.  0, or -errno with err. */
int lnewfile_open(struct lnewfile *f, const char *path, unsigned perm, struct ph_err *err);
/* fsync, rename, fsync the folder.  The temporary file is gone afterwards, also on failure. */
int lnewfile_commit(struct lnewfile *f, struct ph_err *err);
/* Drop what was not committed; frees the names. */
void lnewfile_done(struct lnewfile *f);
/* Copy all of fd (from its start) into the temporary file. */
int lnewfile_copy(struct lnewfile *f, int fd, struct ph_err *err);

enum llock_style { LLOCK_FLOCK, LLOCK_FCNTL /* open file description locks; they hold against fcntl locks of others */ };
/* Lock fd shared or exclusively; waits up to wait_ms (parks the coroutine if there is one).  0, -ETIMEDOUT, -errno.  May yield when
 * wait_ms > 0. */
int llock(int fd, enum llock_style style, bool exclusive, int64_t wait_ms);
void lunlock(int fd, enum llock_style style);
/* Did the file behind a descriptor change between a and b? */
bool lfile_same(const struct stat *a, const struct stat *b);
#endif
