/* pickup.c: takes what sendmail(1) left in maildrop/ into the queue.
 *
 * Owns maildrop/ while it runs.  A file is unlinked only after its message is durable; a crash in between means that it is taken in a second
 * time (the attribute maildrop_id of both names the file), and the queue manager drops the second (queue/claim.c).  Who submitted is the file's owner.  A file that is not
 * what ours are goes to corrupt/.  Yields. */
#include <dirent.h>
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <posthouse/co.h>
#include <posthouse/delivery.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/co_private.h"
#include "base/fault.h"
#include "base/loop.h"
#include "message/intake.h"
#include "message/received.h"
#include "net/listen.h"
#include "queue/maildrop.h"
#include "route/route.h"
#include "queue/proto.h"
#include "queue/store.h"
#include "smtpd/postlogd.h"
#include "smtpd/smtpd.h"

#define WAKEUP_MS 60000
#define AT_ONCE 16              /* messages that wait for their fdatasync together */
#define BATCH_MAX 1000          /* names that one scan remembers */
#define ENV_FLAGS (PH_ENV_SMTPUTF8 | PH_ENV_REQUIRETLS | PH_ENV_TRACE | PH_ENV_TRACE_ONLY | PH_ENV_VERP)

struct pickup {
	const struct ph_conf *conf, *cleanup_conf;
	const char *queue_dir, *syslog_name, *content_filter;
	unsigned intake_flags;
	int64_t size_limit;
	size_t line_limit;
	int dirfd;                      /* queue_dir */
	struct ph_waitq wake;           /* a trigger, the timer, or the end */
	bool triggered, stopping;
	char **names;                   /* the batch */
	size_t n_names, next_name;
	size_t running, taken;
	struct ph_waitq done;
};

/* One file under way. */
struct drop {
	struct pickup *p;
	const char *name;
	struct ph_arena *arena;
	struct ph_intake *in;
	int fd;
	struct stat st;
	const char *sender, *envid, *ret, *encoding;
	uint32_t flags;
	bool have_sender, content_begun, lost;
	struct ph_buf part;             /* a line whose end has not come yet */
};

/* ---- what is wrong with a file ---- */

static void to_corrupt(struct pickup *p, const char *name, const char *why)
{
	char from[300], to[300];

	ph_log(PH_LOG_WARNING, "maildrop/%s: %s; saved in corrupt/", name, why);
	snprintf(from, sizeof(from), "maildrop/%s", name);
	snprintf(to, sizeof(to), "corrupt/%s", name);
	if (renameat(p->dirfd, from, p->dirfd, to) < 0)
		ph_log(PH_LOG_WARNING, "rename maildrop/%s to corrupt/: %s", name, strerrordesc_np(errno));
}

/* Not a regular file of its owner alone: none of our commands wrote it. */
static const char *insane(const struct stat *st)
{
	if (!S_ISREG(st->st_mode))
		return "not a regular file";
	if (st->st_nlink != 1)
		return "has several links";
	if (st->st_mode & (S_IWGRP | S_IWOTH | S_ISUID | S_ISGID))
		return "bad permissions";
	return NULL;
}

/* ---- records ---- */

static char *text_of(struct drop *d, const struct ph_maildrop_rec *rec)
{
	return memchr(rec->data.p, '\0', rec->data.n) ? NULL : ph_arena_strndup(d->arena, rec->data.p, rec->data.n);
}

/* Submitters may say little about a message beyond its envelope (ph_maildrop_check has looked). */
static void take_attr(struct drop *d, char *text)
{
	char *eq = strchr(text, '=');

	*eq = '\0';
	if (strcmp(text, "rewrite_context") == 0)
		ph_intake_rewrite_context(d->in, strcmp(eq + 1, "remote") != 0);
	else
		ph_intake_attr(d->in, text, eq + 1);
}

static int take_rcpt(struct drop *d, const struct ph_maildrop_rec *rec)
{
	struct ph_slice address;
	const char *orcpt;
	unsigned notify;
	int r = ph_maildrop_rcpt(rec, &address, &notify, &orcpt);

	if (r < 0 || memchr(address.p, '\0', address.n))
		return -EBADMSG;
	return ph_intake_rcpt(d->in, ph_arena_strndup(d->arena, address.p, address.n), *orcpt ? orcpt : NULL, notify);
}

static void put_line(struct drop *d, const char *p, size_t n, bool cont)
{
	if (!d->lost && ph_intake_line(d->in, p, n, cont) < 0)
		d->lost = true;
}

/* Bytes of content, which end where the record ends and not where lines do. */
static void take_content(struct drop *d, struct ph_slice s)
{
	size_t limit = d->p->line_limit, take;
	const char *p = s.p, *end = s.p + s.n, *lf;

	while (p < end) {
		lf = memchr(p, '\n', (size_t)(end - p));
		take = (size_t)((lf ? lf : end) - p);
		if (d->part.len + take > limit) {
			take = limit - d->part.len;
			lf = NULL;
		}
		if (lf && d->part.len == 0) {
			put_line(d, p, take, false);
			p = lf + 1;
			continue;
		}
		ph_buf_append(&d->part, p, take);
		p += take + (lf != NULL);
		if (!lf && d->part.len < limit)
			return;
		put_line(d, ph_buf_str(&d->part), d->part.len, lf == NULL);
		ph_buf_clear(&d->part);
	}
}

static int begin(struct drop *d, struct ph_err *err)
{
	struct ph_intake_params ip = {
		.conf = d->p->cleanup_conf, .prog = "pickup", .origin = "local", .local_origin = true,
		.flags = d->p->intake_flags | PH_INTAKE_RECEIVED_DONE | PH_INTAKE_BOUNCES, .size_limit = d->p->size_limit,
		.content_filter = d->p->content_filter, .arena = d->arena,
	};

	return ph_intake_begin(&ip, &d->in, err);
}

/* The envelope is complete: tell the intake, and the log. */
static void begin_content(struct drop *d)
{
	const char *id = ph_intake_queue_id(d->in);
	char file[400];

	if (d->content_begun)
		return;
	d->content_begun = true;
	ph_intake_sender(d->in, d->sender, d->envid, d->ret, d->encoding ? d->encoding : "", d->flags & ENV_FLAGS);
	ph_intake_attr(d->in, "log_message_origin", "local");
	ph_maildrop_id(file, sizeof(file), d->name, &d->st);
	ph_intake_attr(d->in, "maildrop_id", file);
	ph_intake_prepend(d->in, ph_received_local(d->p->conf, id, (int64_t)d->st.st_uid, d->arena));
	ph_log(PH_LOG_INFO, "%s: uid=%ld from=<%s>", id, (long)d->st.st_uid, ph_address_quote(d->arena, d->sender));
}

static int take(struct drop *d, const struct ph_maildrop_rec *rec)
{
	char *text;

	switch (rec->type) {
	case PH_DROP_RCPT:
		return take_rcpt(d, rec);
	case PH_DROP_CONTENT:
		if (!d->have_sender)
			return -EBADMSG;
		begin_content(d);
		take_content(d, rec->data);
		return 0;
	case PH_DROP_FLAGS:
		if (rec->data.n != sizeof(d->flags))
			return -EBADMSG;
		memcpy(&d->flags, rec->data.p, sizeof(d->flags));
		d->flags = le32toh(d->flags);
		return 0;
	case PH_DROP_END:
		return 0;
	default:
		break;
	}
	text = text_of(d, rec);
	if (!text)
		return -EBADMSG;
	switch (rec->type) {
	case PH_DROP_SENDER:
		d->sender = text;
		d->have_sender = true;
		break;
	case PH_DROP_FULL_NAME:
		ph_intake_full_name(d->in, text);
		break;
	case PH_DROP_ENVID:
		d->envid = text;
		break;
	case PH_DROP_RET:
		d->ret = strcasecmp(text, "FULL") == 0 ? "FULL" : strcasecmp(text, "HDRS") == 0 ? "HDRS" : NULL;
		break;
	case PH_DROP_ENCODING:
		d->encoding = strcasecmp(text, "8bit") == 0 ? "8bit" : "7bit";
		break;
	case PH_DROP_ATTR:
		take_attr(d, text);
		break;
	default:
		return -EBADMSG;
	}
	return 0;
}

/* ---- one file ---- */

/* All records.  0, -EBADMSG (the file is damaged) or another error (err). */
static int read_drop(struct drop *d, struct ph_err *err)
{
	struct ph_maildrop_reader *r = ph_maildrop_reader_new(d->fd);
	struct ph_maildrop_check check = { 0 };
	struct ph_maildrop_rec rec;
	int rc;

	ph_err_set(err, -EBADMSG, "damaged record");
	while ((rc = ph_maildrop_next(r, &rec, err)) > 0) {
		rc = ph_maildrop_check(&check, &rec, err);
		if (rc < 0)
			break;
		rc = take(d, &rec);
		if (rc < 0) {
			ph_err_set(err, rc, rc == -ENOBUFS ? "too many recipients" : "damaged record");
			break;
		}
	}
	if (rc == 0 && (!d->have_sender || ph_intake_rcpt_count(d->in) == 0))
		rc = ph_err_set(err, -EBADMSG, "no sender or no recipients");
	ph_maildrop_reader_free(&r);
	return rc;
}

static void finish(struct drop *d)
{
	struct ph_verdict v;
	char path[300];
	int64_t size;

	begin_content(d);
	if (d->part.len)
		put_line(d, ph_buf_str(&d->part), d->part.len, false);
	v = ph_intake_end(&d->in, &size);
	if (v.cls != PH_PERMIT && v.cls != PH_DUNNO) {
		ph_log(PH_LOG_WARNING, "maildrop/%s: not taken in: %s; will try again", d->name, v.text ? v.text : "temporary trouble");
		return;
	}
	snprintf(path, sizeof(path), "maildrop/%s", d->name);
	d->p->taken++;
	ph_fault("pickup.unlink");
	if (unlinkat(d->p->dirfd, path, 0) < 0 && errno != ENOENT)
		ph_log(PH_LOG_WARNING, "remove maildrop/%s: %s", d->name, strerrordesc_np(errno));
}

static void take_file(struct pickup *p, const char *name)
{
	struct drop d = { .p = p, .name = name, .fd = -1 };
	struct ph_err err;
	const char *why;
	char path[300];
	int rc;

	snprintf(path, sizeof(path), "maildrop/%s", name);
	d.fd = openat(p->dirfd, path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (d.fd < 0 || fstat(d.fd, &d.st) < 0) {
		if (errno == ELOOP)
			to_corrupt(p, name, "a symbolic link");
		else if (errno != ENOENT)
			ph_log(PH_LOG_WARNING, "open maildrop/%s: %s", name, strerrordesc_np(errno));
		goto out;
	}
	why = insane(&d.st);
	if (why) {
		to_corrupt(p, name, why);
		goto out;
	}
	d.arena = ph_arena_new();
	ph_buf_init(&d.part, p->line_limit + 16);
	rc = begin(&d, &err);
	if (rc == 0)
		rc = read_drop(&d, &err);
	if (rc == 0)
		finish(&d);
	else if (rc == -EBADMSG || rc == -ENOBUFS)
		to_corrupt(p, name, err.text);
	else
		ph_log(PH_LOG_WARNING, "maildrop/%s: %s; will try again", name, err.text);
	ph_intake_abort(&d.in);
	ph_buf_done(&d.part);
	ph_arena_free(&d.arena);
out:
	if (d.fd >= 0)
		close(d.fd);
}

/* ---- all files ---- */

static void worker_main(void *arg)
{
	struct pickup *p = arg;

	ph_co_set_ident(p->syslog_name, "pickup");
	while (p->next_name < p->n_names && !p->stopping)
		take_file(p, p->names[p->next_name++]);
	p->running--;
	ph_waitq_wake_all(&p->done);
}

static int by_name(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Names of files that are whole: no dot in front. */
static void scan(struct pickup *p)
{
	int fd = openat(p->dirfd, "maildrop", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *e;

	if (!dir) {
		ph_log(PH_LOG_WARNING, "open maildrop: %s", strerrordesc_np(errno));
		if (fd >= 0)
			close(fd);
		return;
	}
	while (p->n_names < BATCH_MAX && (e = readdir(dir))) {
		if (e->d_name[0] == '.' || strlen(e->d_name) > 200)
			continue;
		p->names = ph_realloc(p->names, (p->n_names + 1) * sizeof(*p->names));
		p->names[p->n_names++] = ph_strdup(e->d_name);
	}
	closedir(dir);
	if (p->n_names)
		qsort(p->names, p->n_names, sizeof(*p->names), by_name);
}

/* One pass.  true: there may be more, and it is worth while to look at once. */
static bool run_batch(struct pickup *p)
{
	size_t n;

	scan(p);
	n = p->n_names;
	p->taken = 0;
	for (size_t i = 0; i < AT_ONCE && i < n; i++) {
		p->running++;
		ph_co_spawn("pickup file", worker_main, p);
	}
	while (p->running)
		ph_waitq_wait(&p->done, PH_NEVER);
	for (size_t i = 0; i < p->n_names; i++)
		free(p->names[i]);
	p->n_names = p->next_name = 0;
	return n == BATCH_MAX && p->taken > 0;
}

static void pickup_main(void *arg)
{
	struct pickup *p = arg;

	ph_co_set_ident(p->syslog_name, "pickup");
	while (!p->stopping) {
		p->triggered = false;
		if (run_batch(p))
			continue;
		if (!p->triggered && !p->stopping)
			ph_waitq_wait(&p->wake, ph_now_ms() + WAKEUP_MS);
	}
	ph_loop_stop();
}

static void on_trigger(void *arg, struct ph_stream *io)
{
	struct pickup *p = arg;

	ph_stream_close(&io);
	p->triggered = true;
	ph_waitq_wake_all(&p->wake);
}

static void on_term(int signo, void *arg)
{
	struct pickup *p = arg;

	p->stopping = true;
	ph_waitq_wake_all(&p->wake);
}

static void settings(struct pickup *p, const struct ph_config *config)
{
	const struct ph_service *me = ph_config_service(config, "pickup", PH_SVC_UNIX);
	const struct ph_service *cleanup;
	const char *v, *list;
	int64_t n;

	p->conf = me ? me->conf : ph_config_main(config);
	v = ph_conf_get(p->conf, "cleanup_service_name");
	cleanup = ph_config_service(config, v ? v : "cleanup", PH_SVC_UNIX);
	p->cleanup_conf = cleanup ? cleanup->conf : p->conf;
	p->syslog_name = ph_conf_get(p->conf, "syslog_name");
	p->content_filter = ph_conf_get(p->conf, "content_filter");
	v = ph_conf_get(p->conf, "message_size_limit");
	p->size_limit = v && ph_str_int64(v, 0, INT64_MAX, &n) == 0 ? n : 0;
	v = ph_conf_get(p->conf, "line_length_limit");
	p->line_limit = v && ph_str_int64(v, 512, 1 << 20, &n) == 0 ? (size_t)n : 2048;
	list = ph_conf_get(p->conf, "receive_override_options");
	if (list && strstr(list, "no_address_mappings"))
		p->intake_flags |= PH_INTAKE_NO_MAPPINGS;
	if (list && strstr(list, "no_header_body_checks"))
		p->intake_flags |= PH_INTAKE_NO_CHECKS;
	if (list && strstr(list, "no_milters"))
		p->intake_flags |= PH_INTAKE_NO_MILTERS;
}

int ph_pickup_run(const struct ph_pickup_config *cfg)
{
	struct ph_store_config sc = { .queue_dir = cfg->queue_dir, .slot = cfg->slot };
	struct pickup p = { .queue_dir = cfg->queue_dir };
	struct ph_listener *trigger = NULL;
	struct ph_store *store;
	struct ph_err err;
	int r;

	r = ph_loop_init();
	if (r < 0)
		return r;
	r = ph_store_open(&sc, &store, &err);
	if (r < 0) {
		ph_log(PH_LOG_FATAL, "open queue: %s", err.text);
		return r;
	}
	ph_qmgr_link_start(cfg->queue_dir, store);
	p.dirfd = open(cfg->queue_dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (p.dirfd < 0) {
		ph_log(PH_LOG_FATAL, "open %s: %s", cfg->queue_dir, strerrordesc_np(errno));
		return -errno;
	}
	settings(&p, cfg->config);
	if (cfg->trigger >= 0)
		trigger = ph_listener_start(cfg->trigger, on_trigger, &p);
	ph_signal_on(SIGTERM, on_term, &p);
	ph_maildrop_tidy(p.dirfd);
	ph_postlogd_start(cfg->queue_dir, ph_conf_get(p.conf, "postlog_service_name"));
	ph_co_spawn("pickup", pickup_main, &p);
	ph_loop_run();
	ph_listener_free(&trigger);
	free(p.names);
	close(p.dirfd);
	ph_store_close(&store);
	return 0;
}
