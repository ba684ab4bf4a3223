/* control_maildrop.c: mail in maildrop/, which no index knows yet: shown and deleted with the rest of the queue.  No state; yields between files.
 * Whoever may not look into the folder (a user, while the mail system is down) sees nothing of it.  Source: showq(8), postsuper(1). */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/queue_id.h"
#include "queue/control.h"
#include "queue/maildrop.h"

#define PER_TURN 100
#define MAX_SHOWN 1000          /* recipients of one message that a list names */

/* The files' names, one after the other; NULL at the end or when there is no such folder for us. */
static DIR *drop_open(const struct ph_qmgr *q)
{
	int fd = openat(q->dirfd, "maildrop", O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);

	if (d == NULL && fd >= 0)
		close(fd);
	return d;
}

static const char *drop_next(DIR *d)
{
	struct dirent *e;

	while ((e = readdir(d)) != NULL)
		if (ph_queue_id_plausible(e->d_name))
			return e->d_name;
	return NULL;
}

struct drop { const char *sender, **rcpts; size_t n; };

/* The envelope of one; a file that is damaged shows what can be read of it. */
static void drop_read(int fd, struct ph_arena *a, struct drop *ret)
{
	struct ph_maildrop_reader *r = ph_maildrop_reader_new(fd);
	struct ph_maildrop_rec rec;
	struct ph_err err;
	const char *orcpt;
	struct ph_slice address;
	unsigned notify;

	*ret = (struct drop){ .sender = "", .rcpts = ph_arena_alloc(a, MAX_SHOWN * sizeof(*ret->rcpts)) };
	while (ret->n < MAX_SHOWN && ph_maildrop_next(r, &rec, &err) > 0 && rec.type != PH_DROP_CONTENT && rec.type != PH_DROP_END) {
		if (rec.type == PH_DROP_SENDER)
			ret->sender = ph_arena_strndup(a, rec.data.p, rec.data.n);
		else if (rec.type == PH_DROP_RCPT && ph_maildrop_rcpt(&rec, &address, &notify, &orcpt) == 0)
			ret->rcpts[ret->n++] = ph_arena_strndup(a, address.p, address.n);
	}
	ph_maildrop_reader_free(&r);
}

int ph_control_list_maildrop(struct ph_control *c, struct ph_listing *l, struct ph_buf *out)
{
	DIR *d = drop_open(c->q);
	const char *name;
	unsigned n = 0;
	int r = 0;

	while (d && r == 0 && (name = drop_next(d)) != NULL) {
		int fd = openat(dirfd(d), name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
		struct ph_arena *a = ph_arena_new();
		struct drop m;
		struct stat st;

		if (fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode)) {
			drop_read(fd, a, &m);
			ph_listing_maildrop(l, name, st.st_mtime, st.st_size, m.sender, m.rcpts, m.n, out);
		}
		if (fd >= 0)
			close(fd);
		ph_arena_free(&a);
		if (++n % PER_TURN == 0 || out->len >= PH_CONTROL_CHUNK) {
			r = ph_control_text(c, out->data, out->len);
			ph_buf_clear(out);
			if (r == 0)
				r = ph_co_sleep(0);
		}
	}
	if (d)
		closedir(d);
	return r;
}

bool ph_control_drop_delete(struct ph_qmgr *q, const char *queue_id)
{
	char path[64];

	if (!ph_queue_id_plausible(queue_id) || snprintf(path, sizeof(path), "maildrop/%s", queue_id) >= (int)sizeof(path))
		return false;
	return unlinkat(q->dirfd, path, 0) == 0;
}

uint64_t ph_control_drop_delete_all(struct ph_qmgr *q)
{
	DIR *d = drop_open(q);
	const char *name;
	uint64_t n = 0;
	unsigned seen = 0;

	while (d && (name = drop_next(d)) != NULL) {
		n += unlinkat(dirfd(d), name, 0) == 0;
		if (++seen % PER_TURN == 0 && ph_co_sleep(0) < 0)
			break;
	}
	if (d)
		closedir(d);
	return n;
}
