/* maildrop.c: see maildrop.h. */
#include "queue/maildrop.h"
#include "message/envelope.h"
#include "base/crc32c.h"
#include <posthouse/io.h>

#include <dirent.h>
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#define MAGIC "PHDROP1\n"
#define MAGIC_BYTES 8
#define HEAD_BYTES 5
#define OUT_BYTES (128 * 1024)
#define PH_MAILDROP_RCPTS_MAX 1000000

struct ph_maildrop_writer {
	int fd;
	int dir;                        /* maildrop/; -1: not a file */
	char temp[80], name[64];
	struct ph_buf out;
	uint32_t crc;
	int failed;                     /* first error, negative */
};

static void writer_flush(struct ph_maildrop_writer *w)
{
	size_t done = 0;

	while (!w->failed && done < w->out.len) {
		ssize_t n = write(w->fd, w->out.data + done, w->out.len - done);

		if (n > 0)
			done += (size_t)n;
		else if (n < 0 && errno != EINTR)
			w->failed = -errno;
	}
	ph_buf_clear(&w->out);
}

static void writer_bytes(struct ph_maildrop_writer *w, const void *p, size_t n)
{
	w->crc = ph_crc32c(w->crc, p, n);
	if (w->out.len + n > OUT_BYTES)
		writer_flush(w);
	ph_buf_append(&w->out, p, n);
}

static struct ph_maildrop_writer *writer_new(int fd, int dir)
{
	struct ph_maildrop_writer *w = ph_alloc(sizeof *w);

	w->fd = fd;
	w->dir = dir;
	ph_buf_init(&w->out, OUT_BYTES + PH_MAILDROP_RECORD_MAX);
	writer_bytes(w, MAGIC, MAGIC_BYTES);
	return w;
}

int ph_maildrop_create(const char *queue_dir, struct ph_maildrop_writer **ret, struct ph_err *err)
{
	char path[4096], name[64], temp[80];
	struct timeval tv;
	int dir, fd = -1;

	if ((size_t)snprintf(path, sizeof path, "%s/maildrop", queue_dir) >= sizeof path)
		return ph_err_set(err, -ENAMETOOLONG, "%s: too long", queue_dir);
	/* The folder may be writable and searchable, yet not readable: O_PATH. */
	dir = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0)
		return ph_err_errno(err, -errno, "open %s", path);
	for (int i = 0; i < 100 && fd < 0; i++) {
		gettimeofday(&tv, NULL);
		/* It stands in logs and replies of "sendmail -bs" where a queue id does: microseconds, seconds, process. */
		snprintf(name, sizeof name, "%05X%08llX%03X", (unsigned)tv.tv_usec, (unsigned long long)tv.tv_sec & 0xffffffff, (unsigned)getpid() & 0xfff);
		snprintf(temp, sizeof temp, ".%s", name);
		fd = openat(dir, temp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
		if (fd < 0 && errno != EEXIST)
			break;
	}
	if (fd < 0) {
		int rc = ph_err_errno(err, -errno, "create a file in %s", path);

		close(dir);
		return rc;
	}
	/* pickup runs as another user: the folder, which nobody else may enter, keeps strangers out. */
	fchmod(fd, 0644);
	*ret = writer_new(fd, dir);
	strcpy((*ret)->name, name);
	strcpy((*ret)->temp, temp);
	return 0;
}

struct ph_maildrop_writer *ph_maildrop_to_fd(int fd)
{
	return writer_new(fd, -1);
}

const char *ph_maildrop_name(const struct ph_maildrop_writer *w)
{
	return w->name;
}

/* ---- signals ---- */

static struct { volatile sig_atomic_t dir; char temp[80]; } doomed = { .dir = -1 };

/* Only what may be called in a handler; the name is a copy that nobody frees. */
static void on_signal(int signo)
{
	if (doomed.dir >= 0)
		unlinkat(doomed.dir, doomed.temp, 0);
	_exit(128 + signo);
}

void ph_maildrop_remove_on_signals(struct ph_maildrop_writer *w)
{
	static const int signals[] = { SIGHUP, SIGINT, SIGQUIT, SIGTERM };
	struct sigaction sa = { .sa_handler = on_signal }, old;

	memcpy(doomed.temp, w->temp, sizeof doomed.temp);
	doomed.dir = w->dir;
	for (size_t i = 0; i < PH_ARRAY_LEN(signals); i++) {
		sigaddset(&sa.sa_mask, signals[i]);
		if (sigaction(signals[i], NULL, &old) == 0 && old.sa_handler != SIG_IGN)
			sigaction(signals[i], &sa, NULL);
	}
}

void ph_maildrop_tidy(int queue_dirfd)
{
	int fd = openat(queue_dirfd, "maildrop", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *e;
	struct stat st;
	time_t now = time(NULL);

	if (!dir) {
		if (fd >= 0)
			close(fd);
		return;
	}
	while ((e = readdir(dir))) {
		if (e->d_name[0] != '.' || fstatat(fd, e->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0 || S_ISDIR(st.st_mode) || now - st.st_mtime < 86400)
			continue;
		if (unlinkat(fd, e->d_name, 0) == 0)
			ph_log(PH_LOG_INFO, "maildrop/%s: removed: its writer died a day ago", e->d_name);
	}
	closedir(dir);
}

static void put_one(struct ph_maildrop_writer *w, enum ph_maildrop_type type, const void *p, size_t n)
{
	uint32_t le = htole32((uint32_t)n);
	char head[HEAD_BYTES] = { (char)type };

	memcpy(head + 1, &le, 4);
	writer_bytes(w, head, HEAD_BYTES);
	writer_bytes(w, p, n);
}

int ph_maildrop_put(struct ph_maildrop_writer *w, enum ph_maildrop_type type, const void *p, size_t n)
{
	const char *s = p;

	if (type != PH_DROP_CONTENT && n > PH_MAILDROP_RECORD_MAX)
		return w->failed = w->failed ? w->failed : -EMSGSIZE;
	do {
		size_t piece = n < PH_MAILDROP_RECORD_MAX ? n : PH_MAILDROP_RECORD_MAX;

		put_one(w, type, s, piece);
		s += piece;
		n -= piece;
	} while (n > 0);
	return w->failed;
}

int ph_maildrop_put_rcpt(struct ph_maildrop_writer *w, const char *address, unsigned notify, const char *orcpt)
{
	struct ph_buf b = PH_BUF_INIT(PH_MAILDROP_RECORD_MAX);
	int rc;

	if (ph_buf_putc(&b, (int)notify) < 0 || ph_buf_puts(&b, orcpt ? orcpt : "") < 0 || ph_buf_putc(&b, 0) < 0 ||
	    ph_buf_puts(&b, address) < 0)
		rc = w->failed = -EMSGSIZE;
	else
		rc = ph_maildrop_put(w, PH_DROP_RCPT, b.data, b.len);
	ph_buf_done(&b);
	return rc;
}

static void writer_free(struct ph_maildrop_writer **wp)
{
	struct ph_maildrop_writer *w = *wp;

	*wp = NULL;
	if (w->dir >= 0 && doomed.dir == w->dir)
		doomed.dir = -1;
	if (w->dir >= 0) {
		close(w->fd);
		close(w->dir);
	}
	ph_buf_done(&w->out);
	free(w);
}

void ph_maildrop_abort(struct ph_maildrop_writer **w)
{
	if (!*w)
		return;
	if ((*w)->dir >= 0)
		unlinkat((*w)->dir, (*w)->temp, 0);
	writer_free(w);
}

/* Make the folder's new name durable; a folder that may not be read cannot be opened for fsync, syncfs does the same at a higher price. */
static int sync_folder(struct ph_maildrop_writer *w)
{
	int fd = openat(w->dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), rc;

	if (fd < 0)
		return syncfs(w->fd) < 0 ? -errno : 0;
	rc = fsync(fd) < 0 ? -errno : 0;
	close(fd);
	return rc;
}

/* The new name must be on disk before the submitter is told that its mail is safe. */
static int make_visible(struct ph_maildrop_writer *w)
{
	int rc;

	if (fsync(w->fd) < 0 || renameat(w->dir, w->temp, w->dir, w->name) < 0)
		return -errno;
	rc = sync_folder(w);
	if (rc < 0)
		unlinkat(w->dir, w->name, 0);
	return rc;
}

int ph_maildrop_finish(struct ph_maildrop_writer **wp, struct ph_err *err)
{
	struct ph_maildrop_writer *w = *wp;
	uint32_t le = htole32(w->crc);
	int rc;

	put_one(w, PH_DROP_END, &le, 4);
	writer_flush(w);
	rc = w->failed;
	if (rc == 0 && w->dir >= 0)
		rc = make_visible(w);
	if (rc < 0) {
		ph_err_errno(err, rc, "write %s", w->dir >= 0 ? "maildrop file" : "to postdrop");
		ph_maildrop_abort(wp);
		return rc;
	}
	writer_free(wp);
	return 0;
}

/* ---- reading ---- */

static bool type_known(char c)
{
	return c && strchr("XSFErefARC", c);
}

ssize_t ph_maildrop_decode(struct ph_slice in, struct ph_maildrop_rec *ret)
{
	uint32_t n;

	if (in.n > 0 && !type_known(in.p[0]))
		return -EBADMSG;
	if (in.n < HEAD_BYTES)
		return 0;
	memcpy(&n, in.p + 1, 4);
	n = le32toh(n);
	if (n > PH_MAILDROP_RECORD_MAX || (in.p[0] == PH_DROP_END && n != 4))
		return -EBADMSG;
	if (in.n < HEAD_BYTES + n)
		return 0;
	ret->type = (enum ph_maildrop_type)in.p[0];
	ret->data = (struct ph_slice){ in.p + HEAD_BYTES, n };
	return (ssize_t)(HEAD_BYTES + n);
}

struct ph_maildrop_reader {
	int fd;
	char *buf;
	size_t at, len;                 /* what is read and not used yet */
	uint32_t crc;
	int64_t offset;
	bool began, ended, cut;
};

#define READ_BYTES (2 * (PH_MAILDROP_RECORD_MAX + HEAD_BYTES))

struct ph_maildrop_reader *ph_maildrop_reader_new(int fd)
{
	struct ph_maildrop_reader *r = ph_alloc(sizeof *r);

	r->fd = fd;
	r->buf = ph_alloc(READ_BYTES);
	return r;
}

void ph_maildrop_reader_free(struct ph_maildrop_reader **r)
{
	if (*r) {
		free((*r)->buf);
		free(*r);
	}
	*r = NULL;
}

/* More bytes behind what is there: 1, 0 at the end of file, or -errno. */
static int reader_fill(struct ph_maildrop_reader *r)
{
	ssize_t n;

	memmove(r->buf, r->buf + r->at, r->len - r->at);
	r->len -= r->at;
	r->at = 0;
	do
		n = read(r->fd, r->buf + r->len, READ_BYTES - r->len);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	r->len += (size_t)n;
	return n > 0;
}

static void reader_use(struct ph_maildrop_reader *r, size_t n)
{
	r->crc = ph_crc32c(r->crc, r->buf + r->at, n);
	r->at += n;
	r->offset += (int64_t)n;
}

static int reader_begin(struct ph_maildrop_reader *r)
{
	int rc = 1;

	while (rc > 0 && r->len - r->at < MAGIC_BYTES)
		rc = reader_fill(r);
	if (rc < 0)
		return rc;
	r->cut = rc == 0 && r->len == r->at;
	if (r->len - r->at < MAGIC_BYTES || memcmp(r->buf + r->at, MAGIC, MAGIC_BYTES) != 0)
		return -EBADMSG;
	reader_use(r, MAGIC_BYTES);
	r->began = true;
	return 0;
}

int ph_maildrop_next(struct ph_maildrop_reader *r, struct ph_maildrop_rec *ret, struct ph_err *err)
{
	int rc = r->began ? 0 : reader_begin(r);
	uint32_t crc;

	if (r->ended)
		return 0;
	while (rc >= 0) {
		struct ph_slice in = { r->buf + r->at, r->len - r->at };
		ssize_t n = ph_maildrop_decode(in, ret);

		if (n < 0) {
			rc = (int)n;
		} else if (n == 0) {
			rc = reader_fill(r);
			r->cut = rc == 0 && r->len == r->at;
			if (rc == 0)
				rc = -EBADMSG;
		} else if (ret->type == PH_DROP_END) {
			memcpy(&crc, ret->data.p, 4);
			if (le32toh(crc) != r->crc)
				return ph_err_set(err, -EBADMSG, "checksum error");
			r->ended = true;
			return 1;
		} else {
			reader_use(r, (size_t)n);
			return 1;
		}
	}
	if (rc == -EBADMSG)
		return ph_err_set(err, rc, "damaged or cut off at byte %lld", (long long)r->offset);
	return ph_err_errno(err, rc, "read");
}

bool ph_maildrop_given_up(const struct ph_maildrop_reader *r)
{
	return r->cut;
}

int ph_maildrop_rcpt(const struct ph_maildrop_rec *rec, struct ph_slice *ret_address, unsigned *ret_notify, const char **ret_orcpt)
{
	struct ph_slice d = rec->data;
	const char *nul = d.n > 1 ? memchr(d.p + 1, 0, d.n - 1) : NULL;

	if (!nul || memchr(nul + 1, 0, (size_t)(d.p + d.n - nul - 1)))
		return -EBADMSG;
	*ret_notify = (unsigned char)d.p[0];
	*ret_orcpt = d.p + 1;
	*ret_address = (struct ph_slice){ nul + 1, (size_t)(d.p + d.n - nul - 1) };
	return 0;
}

/* ---- what a user may say ---- */

bool ph_maildrop_attr_allowed(struct ph_slice name)
{
	static const char *const allowed[] = { "verp_delimiters", "rewrite_context" };

	for (size_t i = 0; i < PH_ARRAY_LEN(allowed); i++)
		if (strlen(allowed[i]) == name.n && memcmp(allowed[i], name.p, name.n) == 0)
			return true;
	return false;
}

static bool has_control(const char *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if ((unsigned char)p[i] < ' ' || p[i] == 127)
			return true;
	return false;
}

/* An address may hold any byte but those that end lines and texts (which no submitter of ours writes). */
static bool breaks(const char *p, size_t n)
{
	return memchr(p, '\n', n) || memchr(p, '\r', n) || memchr(p, '\0', n);
}

static int check_rcpt(struct ph_maildrop_check *k, const struct ph_maildrop_rec *rec, struct ph_err *err)
{
	struct ph_slice address;
	const char *orcpt;
	unsigned notify;

	if (ph_maildrop_rcpt(rec, &address, &notify, &orcpt) < 0 || notify > 15 || breaks(address.p, address.n) ||
	    has_control(orcpt, strlen(orcpt)))
		return ph_err_set(err, -EBADMSG, "malformed recipient record");
	if (++k->rcpts > PH_MAILDROP_RCPTS_MAX)
		return ph_err_set(err, -EBADMSG, "too many recipients");
	return 0;
}

static int check_single(struct ph_maildrop_check *k, const struct ph_maildrop_rec *rec, struct ph_err *err)
{
	static const char singles[] = "SFEref";
	const char *at = strchr(singles, rec->type), *eq;
	uint32_t flags;

	if (at && (k->seen & 1u << (at - singles)))
		return ph_err_set(err, -EBADMSG, "duplicate record: %c", rec->type);
	if (at)
		k->seen |= 1u << (at - singles);
	if (rec->type == PH_DROP_FLAGS) {
		memcpy(&flags, rec->data.p, rec->data.n < 4 ? 0 : 4);
		if (rec->data.n != 4 || (le32toh(flags) & ~PH_MAILDROP_FLAGS))
			return ph_err_set(err, -EBADMSG, "unexpected flags");
		return 0;
	}
	if (rec->type == PH_DROP_SENDER ? breaks(rec->data.p, rec->data.n) : has_control(rec->data.p, rec->data.n))
		return ph_err_set(err, -EBADMSG, "control character in record: %c", rec->type);
	eq = rec->type == PH_DROP_ATTR && rec->data.n ? memchr(rec->data.p, '=', rec->data.n) : NULL;
	if (rec->type == PH_DROP_ATTR && (!eq || !ph_maildrop_attr_allowed((struct ph_slice){ rec->data.p, (size_t)(eq - rec->data.p) })))
		return ph_err_set(err, -EBADMSG, "unexpected attribute");
	return 0;
}

int ph_maildrop_check(struct ph_maildrop_check *k, const struct ph_maildrop_rec *rec, struct ph_err *err)
{
	bool sender = k->seen & 1;

	if (rec->type == PH_DROP_CONTENT || rec->type == PH_DROP_END) {
		k->content = true;
		if (!sender)
			return ph_err_set(err, -EBADMSG, "no sender");
		return k->rcpts ? 0 : ph_err_set(err, -EBADMSG, "no recipients");
	}
	if (k->content || (rec->type != PH_DROP_SENDER && !sender))
		return ph_err_set(err, -EBADMSG, "record out of order: %c", rec->type);
	return rec->type == PH_DROP_RCPT ? check_rcpt(k, rec, err) : check_single(k, rec, err);
}

void ph_maildrop_trigger(const char *queue_dir)
{
	char path[4096];
	struct ph_endpoint e;
	int fd;

	if ((size_t)snprintf(path, sizeof path, "%s/public/pickup", queue_dir) >= sizeof path || ph_endpoint_unix(&e, path) < 0)
		return;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return;
	/* When nobody is there the wake-up timer finds the file. */
	if (connect(fd, &e.addr.sa, e.len) == 0)
		(void)!send(fd, "W", 1, MSG_NOSIGNAL);
	close(fd);
}

void ph_maildrop_id(char *buf, size_t bytes, const char *name, const struct stat *st)
{
	snprintf(buf, bytes, "%s/%llu/%lld.%09ld", name, (unsigned long long)st->st_ino, (long long)st->st_mtim.tv_sec, st->st_mtim.tv_nsec);
}
