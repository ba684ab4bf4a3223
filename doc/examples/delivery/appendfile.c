/* appendfile.c: delivery agent "appendfile": append each message to one file, in mbox form.  An example of a delivery module; see
 * doc/modules.md.
 *
 * master.cf:  archive  unix  -  -  n  -  1  appendfile
 * main.cf:    appendfile_path = /var/mail/archive
 * transport:  archive@example.com  archive: */
#include <posthouse/delivery.h>
#include <posthouse/co.h>

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define MAX_MESSAGE ((size_t)64 << 20)

struct settings {
	const char *path;
};

static const struct ph_param params[] = {
	PH_P_STR1(struct settings, path, "appendfile_path", "/var/mail/archive", "the file that the appendfile agent writes to"),
};

/* What the helper thread does: everything that may block on the disk. */
struct job {
	const char *path;
	struct ph_buf text;
	int result;             /* 0 or -errno */
};

static void append(void *arg)
{
	struct job *j = arg;
	int fd = open(j->path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	off_t before;

	if (fd < 0) {
		j->result = -errno;
		return;
	}
	if (flock(fd, LOCK_EX) == 0) {
		before = lseek(fd, 0, SEEK_END);
		/* All of the message or nothing; and on the disk before it is called delivered. */
		if (write(fd, j->text.data, j->text.len) != (ssize_t)j->text.len || fdatasync(fd) < 0) {
			j->result = errno ? -errno : -ENOSPC;
			if (before >= 0 && ftruncate(fd, before) < 0)
				j->result = -errno;
		}
	} else {
		j->result = -errno;
	}
	close(fd);
}

/* Put the message into mbox form: a "From " line in front, ">" before lines that look like one, an empty line behind. */
static int collect(struct ph_delivery *d, struct ph_buf *out, struct ph_err *err)
{
	struct ph_buf raw = PH_BUF_INIT(MAX_MESSAGE);
	time_t now = (time_t)(ph_wall_us() / 1000000);
	char buf[4096], date[32];
	const char *p, *end, *nl;
	ssize_t n;
	int r = 0;

	while (r == 0 && (n = ph_delivery_read(d, (int64_t)raw.len, buf, sizeof buf, err)) != 0) {
		if (n < 0)
			r = (int)n;
		else if (ph_buf_append(&raw, buf, (size_t)n) < 0)
			r = ph_err_set(err, -EFBIG, "message too large");
	}
	ph_buf_printf(out, "From %s %s", *ph_delivery_sender(d) ? ph_delivery_sender(d) : "MAILER-DAEMON", ctime_r(&now, date));
	for (p = raw.data, end = p + raw.len; r == 0 && p < end; p = nl + 1) {
		nl = memchr(p, '\n', (size_t)(end - p));
		if (nl == NULL)
			nl = end;
		if (nl - p >= 5 && memcmp(p, "From ", 5) == 0)
			ph_buf_putc(out, '>');
		ph_buf_append(out, p, (size_t)(nl - p));
		ph_buf_putc(out, '\n');
	}
	ph_buf_putc(out, '\n');
	ph_buf_done(&raw);
	return r;
}

static int file_start(const struct ph_conf *conf, const void *settings, void **ret, struct ph_err *err)
{
	const struct settings *set = settings;

	if (set->path[0] != '/')
		return ph_err_set(err, -EINVAL, "appendfile_path must be an absolute path");
	*ret = ph_strdup(set->path);
	return 0;
}

static void file_deliver(void *service, struct ph_delivery *d)
{
	struct job j = { .path = service };
	struct ph_err err = { 0 };

	ph_buf_init(&j.text, 2 * MAX_MESSAGE);
	if (collect(d, &j.text, &err) < 0) {
		ph_delivery_result_all(d, err.code == -EFBIG ? PH_BOUNCED : PH_DEFERRED, err.code == -EFBIG ? "5.3.4" : "4.3.0", "none",
				       "%s", err.text);
	} else {
		ph_offload(append, &j);
		if (j.result == 0)
			ph_delivery_result_all(d, PH_SENT, "2.0.0", "appendfile", "appended to %s", j.path);
		else
			ph_delivery_result_all(d, PH_DEFERRED, "4.2.0", "appendfile", "cannot append to %s: %s", j.path,
					       strerror(-j.result));
	}
	ph_buf_done(&j.text);
}

static const struct ph_delivery_ops ops = {
	.size = sizeof ops, .start = file_start, .stop = free, .deliver = file_deliver,
};

PH_MODULE(PH_KIND_DELIVERY, "appendfile", "1.0", "append messages to one file", .ops.delivery = &ops,
	  PH_MODULE_PARAMS(params, struct settings));
