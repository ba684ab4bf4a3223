/* virtual.c: mailboxes of virtual users: all that is known of them stands in tables.  Source: virtual(8).
 *
 * identity() asks the tables, with the rights of the agent; deliver() runs as the mailbox's user and touches only the mailbox. */
#include "../common/box.h"

#include <posthouse/co.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

struct virtual_settings {
	const char *maps, *base, *uid_maps, *gid_maps, *lock;
	int64_t limit;
	int minimum_uid, lock_attempts;
	int64_t lock_delay, stale_lock;
	bool strict_owner, keep_original;
};

#define S struct virtual_settings
static const struct ph_param params[] = {
	PH_P_STR(S, maps, "virtual_mailbox_maps", "", "Mailboxes by address: path below virtual_mailbox_base; a trailing / means Maildir."),
	PH_P_STR(S, base, "virtual_mailbox_base", "", "Folder in front of each mailbox path."),
	PH_P_STR(S, uid_maps, "virtual_uid_maps", "", "User id by address."),
	PH_P_STR(S, gid_maps, "virtual_gid_maps", "", "Group id by address."),
	PH_P_STR(S, lock, "virtual_mailbox_lock", "fcntl, dotlock", "How an mbox is locked: dotlock, fcntl, flock."),
	PH_P_LONG(S, limit, "virtual_mailbox_limit", "51200000", 0, 0, "Largest mbox in bytes; 0: no limit."),
	PH_P_INT(S, minimum_uid, "virtual_minimum_uid", "100", 1, 0, "Smallest user id that virtual_uid_maps may say."),
	PH_P_INT(S, lock_attempts, "deliver_lock_attempts", "20", 1, 0, "Tries to lock a mailbox."),
	PH_P_TIME(S, lock_delay, "deliver_lock_delay", "1s", 's', 1000, 0, "Time between two tries to lock a mailbox."),
	PH_P_TIME(S, stale_lock, "stale_lock_time", "500s", 's', 1000, 0, "Age at which a mailbox's lock file is taken for forgotten."),
	PH_P_BOOL(S, strict_owner, "strict_mailbox_ownership", "yes", "Defer mail when a mailbox belongs to somebody else."),
	PH_P_BOOL(S, keep_original, "enable_original_recipient", "yes", "Add the address from before aliasing in X-Original-To:."),
};
#undef S

struct virtual_service {
	const struct ph_conf *conf;
	const struct virtual_settings *set;
	struct ph_maps *boxes, *uids, *gids;
	const char *hostname;
	struct dir_sync *dirs;
	struct turn *turns;
};

static int virtual_check(const struct ph_conf *conf, const void *settings, struct ph_err *err)
{
	const struct virtual_settings *set = settings;

	return box_limit_check(conf, "virtual_mailbox_limit", set->limit, err);
}

static int virtual_start(const struct ph_conf *conf, const void *settings, void **ret, struct ph_err *err)
{
	struct virtual_service *svc;
	int rc = virtual_check(conf, settings, err);

	if (rc < 0)
		return rc;
	svc = ph_alloc(sizeof *svc);
	svc->conf = conf;
	svc->set = settings;
	svc->boxes = ph_maps_open(conf, "virtual_mailbox_maps", svc->set->maps);
	svc->uids = ph_maps_open(conf, "virtual_uid_maps", svc->set->uid_maps);
	svc->gids = ph_maps_open(conf, "virtual_gid_maps", svc->set->gid_maps);
	svc->hostname = ph_conf_get(conf, "myhostname");
	*ret = svc;
	return 0;
}

/* ---- who ---- */

#define FORMS (PH_ADDR_FULL | PH_ADDR_NOEXT | PH_ADDR_AT_DOMAIN)

/* A number from a table of ids.  0, or -1 after giving the recipient its result. */
static int find_id(struct virtual_service *svc, struct ph_delivery *d, struct ph_maps *maps, const char *what, int64_t least, int64_t *ret)
{
	const char *address = ph_delivery_rcpt(d, 0)->address, *value;
	struct ph_err err;

	switch (ph_maps_find_address(maps, svc->conf, address, FORMS, NULL, ph_delivery_arena(d), &value, NULL, &err)) {
	case PH_LOOKUP_FOUND:
		if (ph_str_int64(value, least, UINT32_MAX - 1, ret) == 0)
			return 0;
		ph_log(PH_LOG_WARNING, "recipient %s: bad %s %s in virtual_%s_maps", address, what, value, what);
		break;
	case PH_LOOKUP_NOTFOUND:
		ph_log(PH_LOG_WARNING, "recipient %s: %s not found in virtual_%s_maps", address, what, what);
		break;
	case PH_LOOKUP_TEMPFAIL:
	case PH_LOOKUP_PERMERR:
		ph_log(PH_LOG_WARNING, "recipient %s: virtual_%s_maps lookup failure: %s", address, what, err.text);
		break;
	}
	ph_delivery_result(d, 0, PH_DEFERRED, "4.3.5", "virtual", "mail system configuration error");
	return -1;
}

static int virtual_identity(void *service, struct ph_delivery *d, uid_t *ret_uid, gid_t *ret_gid)
{
	struct virtual_service *svc = service;
	const char *address = ph_delivery_rcpt(d, 0)->address, *value;
	int64_t uid, gid;
	struct ph_err err;

	switch (ph_maps_find_address(svc->boxes, svc->conf, address, FORMS, NULL, ph_delivery_arena(d), &value, NULL, &err)) {
	case PH_LOOKUP_FOUND:
		break;
	case PH_LOOKUP_NOTFOUND:
		ph_delivery_result(d, 0, PH_BOUNCED, "5.1.1", "virtual", "unknown user: \"%s\"", address);
		return -1;
	default:
		ph_log(PH_LOG_WARNING, "table virtual_mailbox_maps: lookup of %s failed: %s", address, err.text);
		ph_delivery_result(d, 0, PH_DEFERRED, "4.3.5", "virtual", "mail system configuration error");
		return -1;
	}
	if (find_id(svc, d, svc->uids, "uid", svc->set->minimum_uid, &uid) < 0 || find_id(svc, d, svc->gids, "gid", 1, &gid) < 0)
		return -1;
	ph_delivery_note_set(d, "path", *svc->set->base ? ph_arena_printf(ph_delivery_arena(d), "%s/%s", svc->set->base, value) : value);
	*ret_uid = (uid_t)uid;
	*ret_gid = (gid_t)gid;
	return 0;
}

/* ---- folders are synced for many messages at once ---- */

struct dir_sync {
	struct dir_sync *next;
	char *path;
	uint64_t wanted, done;          /* tickets */
	uint64_t running;               /* up to which ticket the sync under way counts */
	bool busy;
	int failed;                     /* errno of the last sync; 0 */
	struct ph_waitq waiters;
	unsigned users;
};

static void dir_sync_run(void *arg)
{
	struct dir_sync *s = arg;
	int fd = open(s->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	s->failed = fd < 0 || fsync(fd) < 0 ? -1 : 0;
	if (fd >= 0)
		close(fd);
}

static struct dir_sync *dir_sync_get(struct virtual_service *svc, const char *path)
{
	struct dir_sync *s;

	for (s = svc->dirs; s; s = s->next)
		if (strcmp(s->path, path) == 0)
			break;
	if (!s) {
		s = ph_alloc(sizeof *s);
		s->path = ph_strdup(path);
		s->next = svc->dirs;
		svc->dirs = s;
	}
	s->users++;
	return s;
}

static void dir_sync_put(struct virtual_service *svc, struct dir_sync *s)
{
	struct dir_sync **p = &svc->dirs;

	if (--s->users > 0)
		return;
	while (*p != s)
		p = &(*p)->next;
	*p = s->next;
	free(s->path);
	free(s);
}

/* What was renamed before this call is on disk when 0 is returned.  Yields. */
static int dir_sync_wait(struct dir_sync *s)
{
	uint64_t ticket = ++s->wanted;
	int rc = 0;

	while (s->done < ticket) {
		if (s->busy) {
			if (ph_waitq_wait(&s->waiters, INT64_MAX) < 0)
				return -1;
			rc = s->failed;
			continue;
		}
		s->busy = true;
		s->running = s->wanted;
		ph_offload(dir_sync_run, s);
		rc = s->failed;
		s->done = s->running;
		s->busy = false;
		ph_waitq_wake_all(&s->waiters);
	}
	return rc;
}

/* ---- one delivery at a time to an mbox ---- */

/* The lock's own tries wait on a helper thread: as many as there are threads, and the one that has the lock could not go on.  So whoever is in this
 * process waits here. */
struct turn {
	struct turn *next;
	char *path;
	struct ph_sem free;
	unsigned users;
};

static struct turn *turn_get(struct virtual_service *svc, const char *path)
{
	struct turn *t;

	for (t = svc->turns; t; t = t->next)
		if (strcmp(t->path, path) == 0)
			break;
	if (!t) {
		t = ph_alloc(sizeof *t);
		t->path = ph_strdup(path);
		t->free.free = 1;
		t->next = svc->turns;
		svc->turns = t;
	}
	t->users++;
	return t;
}

static void turn_put(struct virtual_service *svc, struct turn *t)
{
	struct turn **p = &svc->turns;

	if (--t->users > 0)
		return;
	while (*p != t)
		p = &(*p)->next;
	*p = t->next;
	free(t->path);
	free(t);
}

/* ---- delivery, as the user ---- */

struct job {
	struct box box;
	const char *top;
	struct ph_slice data;           /* the next piece, or all of it */
	bool first, last;
	int rc;
};

static void job_run(void *arg)
{
	struct job *j = arg;

	j->rc = 0;
	if (j->first)
		j->rc = box_open(&j->box);
	if (j->rc == 0 && j->first && (j->rc = box_top(&j->box, j->top)) < 0)
		box_abort(&j->box);
	if (j->rc == 0 && j->data.n && (j->rc = box_write(&j->box, j->data.p, j->data.n)) < 0)
		box_abort(&j->box);
	if (j->rc == 0 && j->last)
		j->rc = box_commit(&j->box);
	j->first = false;
}

/* Large messages go piece by piece.  0, or -1 with the result in the job's box. */
static int write_pieces(struct ph_delivery *d, struct job *j)
{
	size_t bytes = 128 * 1024;
	char *buf = ph_alloc(bytes);
	struct ph_err err;
	int64_t at = 0;
	ssize_t n;

	do {
		n = ph_delivery_read(d, at, buf, bytes, &err);
		if (n < 0) {
			if (!j->first)
				box_abort(&j->box);
			j->box.status = PH_DEFERRED;
			strcpy(j->box.dsn, "4.3.0");
			snprintf(j->box.text, sizeof j->box.text, "%s", err.text);
			j->rc = -1;
			break;
		}
		j->data = (struct ph_slice){ buf, (size_t)n };
		j->last = n == 0;
		at += n;
		ph_offload(job_run, j);
	} while (j->rc == 0 && !j->last);
	free(buf);
	return j->rc;
}

/* j->rc is 0, or negative with the result in the job's box. */
static void write_message(struct ph_delivery *d, struct job *j)
{
	j->data = ph_delivery_content(d);
	j->last = j->data.p != NULL;
	if (j->last)
		ph_offload(job_run, j);
	else
		write_pieces(d, j);
}

/* The same, when it is its turn.  To wait longer than for a lock is to have none. */
static void write_mbox(struct virtual_service *svc, struct ph_delivery *d, struct job *j)
{
	struct turn *t = turn_get(svc, j->box.path);
	int rc = ph_sem_get(&t->free, ph_now_ms() + svc->set->lock_attempts * svc->set->lock_delay);

	if (rc == 0) {
		write_message(d, j);
		ph_sem_put(&t->free);
	} else {
		j->box.status = PH_DEFERRED;
		strcpy(j->box.dsn, "4.2.0");
		snprintf(j->box.text, sizeof j->box.text, "unable to lock for exclusive access: %s", strerrordesc_np(EAGAIN));
		j->rc = -1;
	}
	turn_put(svc, t);
}

static char *top_of(struct ph_delivery *d, const struct virtual_settings *set, bool maildir)
{
	const struct ph_rcpt *r = ph_delivery_rcpt(d, 0);
	const char *sender = ph_delivery_sender(d);
	time_t now = (time_t)(ph_wall_us() / 1000000);
	const char *original = set->keep_original && *r->original ? ph_address_external(ph_delivery_arena(d), r->original) : "";
	char when[40] = "";
	struct tm tm;

	if (!maildir && localtime_r(&now, &tm))
		strftime(when, sizeof when, "%a %b %e %H:%M:%S %Y", &tm);
	sender = *sender ? ph_address_external(ph_delivery_arena(d), sender) : "";
	return ph_arena_printf(ph_delivery_arena(d), "%s%s%s%s%sReturn-Path: <%s>\n%s%s%sDelivered-To: %s\n",
		maildir ? "" : "From ", maildir ? "" : *sender ? sender : "MAILER-DAEMON", maildir ? "" : "  ", when, maildir ? "" : "\n",
		sender, *original ? "X-Original-To: " : "", original, *original ? "\n" : "",
		ph_address_external(ph_delivery_arena(d), r->address));
}

/* Everything but a full mailbox may be the administrator's to repair. */
static void failed(struct ph_delivery *d, struct box *b, bool maildir)
{
	if (b->status == PH_BOUNCED && strcmp(b->dsn, "5.2.2") != 0) {
		b->status = PH_DEFERRED;
		b->dsn[0] = '4';
	}
	if (b->warning[0]) {
		ph_log(PH_LOG_WARNING, "%s", b->warning);
		ph_log(PH_LOG_WARNING, "perhaps you need to create the maildirs in advance");
	}
	if (strstr(b->text, "is not owned by recipient"))
		ph_log(PH_LOG_WARNING, "specify \"strict_mailbox_ownership = no\" to ignore mailbox ownership mismatch");
	ph_delivery_remote(d, NULL, box_diagnostic(b->text));
	if (maildir)
		ph_delivery_result(d, 0, b->status, b->dsn, "virtual", "maildir delivery failed: %s", b->text);
	else
		ph_delivery_result(d, 0, b->status, b->dsn, "virtual", "delivery failed to mailbox %s: %s", b->path, b->text);
}

static void virtual_deliver(void *service, struct ph_delivery *d)
{
	struct virtual_service *svc = service;
	const char *path = ph_delivery_note(d, "path");
	bool maildir = path && *path && path[strlen(path) - 1] == '/';
	struct job *j = ph_arena_alloc(ph_delivery_arena(d), sizeof *j);
	struct dir_sync *s;
	char dir[1200];
	int rc;

	if (ph_delivery_probe(d)) {
		ph_delivery_result(d, 0, PH_SENT, "2.0.0", "virtual", "delivers to %s", maildir ? "maildir" : "mailbox");
		return;
	}
	j->box = (struct box){ .path = path ? path : "", .locks = svc->set->lock, .hostname = svc->hostname, .limit = svc->set->limit,
		.lock_attempts = svc->set->lock_attempts, .lock_delay_ms = svc->set->lock_delay, .stale_ms = svc->set->stale_lock, .strict_owner = svc->set->strict_owner, .uid = geteuid() };
	j->top = top_of(d, svc->set, maildir);
	j->first = true;
	if (maildir)
		write_message(d, j);
	else
		write_mbox(svc, d, j);
	if (j->rc < 0) {
		failed(d, &j->box, maildir);
		return;
	}
	if (maildir) {
		box_dir(&j->box, dir, sizeof dir);
		s = dir_sync_get(svc, dir);
		rc = dir_sync_wait(s);
		dir_sync_put(svc, s);
		if (rc < 0) {
			ph_delivery_result(d, 0, PH_DEFERRED, "4.2.0", "virtual", "maildir delivery failed: fsync %s", dir);
			return;
		}
	}
	ph_delivery_result(d, 0, PH_SENT, "2.0.0", "virtual", "delivered to %s", maildir ? "maildir" : "mailbox");
}

static void virtual_stop(void *service)
{
	free(service);
}

static const struct ph_delivery_ops ops = {
	.size = sizeof ops, .start = virtual_start, .check = virtual_check, .stop = virtual_stop, .deliver = virtual_deliver, .identity = virtual_identity,
	.single_recipient = true,
};

PH_MODULE(PH_KIND_DELIVERY, "virtual", "1.0", "mailboxes of virtual users, by tables", .ops.delivery = &ops,
	  PH_MODULE_PARAMS(params, struct virtual_settings));
