/* log_sink.c: maillog_file, the postlog service's or syslog's datagram socket.  State: struct ph_log_sink; no yield. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <syslog.h>
#include <unistd.h>

#include "base/log_sink.h"

#define PENDING_MAX (1024 * 1024)       /* while the sink takes nothing; more is counted as lost */
#define SYSLOG_PATH "/dev/log"
#define SYSLOG_BATCH 64
#define STAMP_BYTES 16                  /* "Mon dd hh:mm:ss " */

void ph_log_sink_init(struct ph_log_sink *k)
{
	memset(k, 0, sizeof(*k));
	k->fd = -1;
	ph_buf_init(&k->pending, PENDING_MAX);
}

static void sink_close(struct ph_log_sink *k)
{
	if (k->fd >= 0)
		close(k->fd);
	k->fd = -1;
}

/* PH_SYSLOG_SOCKET: for tests. */
static int socket_connect(struct ph_log_sink *k)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	const char *path = k->is_service ? k->service : secure_getenv("PH_SYSLOG_SOCKET");
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	int r;

	strncpy(sun.sun_path, path ? path : SYSLOG_PATH, sizeof(sun.sun_path) - 1);

	if (fd < 0)
		return -errno;
	if (connect(fd, (struct sockaddr *)&sun, sizeof(sun)) < 0) {
		r = -errno;
		close(fd);
		return r;
	}
	sink_close(k);
	k->fd = fd;
	k->is_socket = true;
	return 0;
}

int ph_log_sink_open(struct ph_log_sink *k, const char *path, mode_t mode, const char *service, int facility)
{
	int r = 0;

	free(k->path);
	free(k->service);
	k->path = path && *path ? ph_strdup(path) : NULL;
	k->service = service ? ph_strdup(service) : NULL;
	k->mode = mode ? mode : 0600;
	k->facility = facility;
	k->is_service = false;
	if (k->path) {
		r = ph_log_sink_reopen(k);
		if (r == 0)
			return 0;
	}
	sink_close(k);
	k->is_socket = true;
	if (k->path && k->service && r == -EACCES) {
		k->is_service = true;
		if (socket_connect(k) == 0)
			return 0;
		k->is_service = false;
	}
	(void)socket_connect(k);        /* tried again with each flush */
	return r;
}

/* Opened as root: nobody else may have put a link there. */
static int open_existing(const char *path)
{
	struct stat st;
	int fd;

	if (lstat(path, &st) == 0 && S_ISLNK(st.st_mode) && st.st_uid != 0 && st.st_uid != geteuid()) {
		errno = ELOOP;
		return -1;
	}
	fd = open(path, O_WRONLY | O_APPEND | O_CLOEXEC | O_NOCTTY);
	if (fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_nlink != 1) {
		close(fd);
		errno = EPERM;
		return -1;
	}
	return fd;
}

/* The umask does not count: maillog_file_permissions says it all. */
static int open_file(struct ph_log_sink *k)
{
	int fd = open(k->path, O_WRONLY | O_APPEND | O_CREAT | O_EXCL | O_CLOEXEC | O_NOCTTY, k->mode);

	if (fd >= 0)
		(void)!fchmod(fd, k->mode);
	else if (errno == EEXIST)
		fd = open_existing(k->path);
	return fd;
}

int ph_log_sink_reopen(struct ph_log_sink *k)
{
	int fd;

	if (k->path == NULL)
		return 0;
	ph_log_sink_flush(k);
	if (strcmp(k->path, "/dev/stdout") == 0)        /* a socket or somebody else's pipe cannot be opened by that name */
		fd = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3);
	else
		fd = open_file(k);
	if (fd < 0)
		return -errno;
	ph_log_sink_set_fd(k, fd);
	return 0;
}

void ph_log_sink_set_fd(struct ph_log_sink *k, int fd)
{
	ph_log_sink_flush(k);
	if (k->is_socket)
		ph_log_sink_forget(k);  /* lines in the other form, which could not be sent */
	sink_close(k);
	k->fd = fd;
	k->is_socket = false;
}

void ph_log_sink_switch(struct ph_log_sink *k, int fd)
{
	if (k->is_socket) {
		ph_log_sink_set_fd(k, fd);
		return;
	}
	sink_close(k);
	k->fd = fd;
}

static int append(struct ph_log_sink *k, int priority, const char *line, size_t n)
{
	const char *ident;
	int r;

	if (!k->is_socket)
		return ph_buf_append(&k->pending, line, n);
	/* syslogd adds the host's name itself. */
	ident = memchr(line + STAMP_BYTES, ' ', n - STAMP_BYTES);
	if (ident == NULL)
		return -EINVAL;
	r = ph_buf_reserve(&k->pending, n + 8);
	if (r < 0)
		return r;
	if (!k->is_service)
		ph_buf_printf(&k->pending, "<%d>%.*s", k->facility | priority, STAMP_BYTES, line);
	return ph_buf_append(&k->pending, ident + 1, n - (size_t)(ident + 1 - line));
}

void ph_log_sink_add(struct ph_log_sink *k, int priority, const char *line, size_t n)
{
	if (append(k, priority, line, n) < 0)
		k->lost++;
	atomic_store_explicit(&k->dirty, true, memory_order_relaxed);
}

/* A file takes all or, when the disk is full, part of it: what it does not take stays for the next turn. */
static void flush_file(struct ph_log_sink *k)
{
	ssize_t n;

	while (k->pending.len > 0) {
		n = write(k->fd, k->pending.data, k->pending.len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return;
		ph_buf_consume(&k->pending, (size_t)n);
	}
}

/* Send up to SYSLOG_BATCH lines; bytes sent, 0 when the socket takes none, or -errno. */
static ssize_t send_some(struct ph_log_sink *k)
{
	static struct mmsghdr msgs[SYSLOG_BATCH];       /* under log.c's lock */
	static struct iovec iov[SYSLOG_BATCH];
	char *p = k->pending.data, *end = p + k->pending.len, *nl;
	int n = 0, sent, i;
	ssize_t bytes = 0;

	memset(msgs, 0, sizeof(msgs));
	while (n < SYSLOG_BATCH && p < end && (nl = memchr(p, '\n', (size_t)(end - p))) != NULL) {
		iov[n] = (struct iovec){ p, (size_t)(nl - p) };
		msgs[n].msg_hdr.msg_iov = &iov[n];
		msgs[n].msg_hdr.msg_iovlen = 1;
		n++;
		p = nl + 1;
	}
	sent = sendmmsg(k->fd, msgs, (unsigned)n, MSG_NOSIGNAL);
	if (sent < 0)
		return errno == EAGAIN || errno == ENOBUFS ? 0 : -errno;
	for (i = 0; i < sent; i++)
		bytes += (ssize_t)iov[i].iov_len + 1;
	return bytes;
}

static void flush_syslog(struct ph_log_sink *k)
{
	bool reconnected = false;
	ssize_t n;

	if (k->fd < 0 && socket_connect(k) < 0)
		return;
	while (k->pending.len > 0) {
		n = send_some(k);
		if (n > 0) {
			ph_buf_consume(&k->pending, (size_t)n);
		} else if (n == -EMSGSIZE) {    /* drop this one line */
			char *nl = memchr(k->pending.data, '\n', k->pending.len);

			k->lost++;
			ph_buf_consume(&k->pending, (size_t)(nl + 1 - k->pending.data));
		} else if (n == 0 || reconnected || socket_connect(k) < 0) {
			return;
		} else {
			reconnected = true;     /* syslogd has been restarted */
		}
	}
}

void ph_log_sink_flush(struct ph_log_sink *k)
{
	if (k->is_socket) {
		flush_syslog(k);
	} else if (k->fd >= 0) {
		flush_file(k);
	}
	atomic_store_explicit(&k->dirty, k->pending.len > 0, memory_order_relaxed);
	if (k->pending.len == 0 && k->pending.cap > PENDING_MAX / 4)
		ph_buf_done(&k->pending);
}

void ph_log_sink_crash(struct ph_log_sink *k, const char *line, size_t n)
{
	static const char priority[] = "<18>";          /* mail.crit */
	const char *ident = n > STAMP_BYTES ? memchr(line + STAMP_BYTES, ' ', n - STAMP_BYTES) : NULL;
	struct iovec iov[3];
	ssize_t r = 0;

	if (k->fd >= 0 && !k->is_socket) {
		iov[0] = (struct iovec){ k->pending.data, k->pending.len };
		iov[1] = (struct iovec){ (char *)line, n };
		r = writev(k->fd, iov, 2);
	} else if (k->fd >= 0 && ident && !k->is_service) {
		iov[0] = (struct iovec){ (char *)priority, sizeof(priority) - 1 };
		iov[1] = (struct iovec){ (char *)line, STAMP_BYTES };
		iov[2] = (struct iovec){ (char *)ident + 1, n - (size_t)(ident + 1 - line) - 1 };
		r = writev(k->fd, iov, 3);
	}
	(void)r;
}

void ph_log_sink_forget(struct ph_log_sink *k)
{
	ph_buf_clear(&k->pending);
	atomic_store_explicit(&k->dirty, false, memory_order_relaxed);
}
