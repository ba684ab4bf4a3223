/* writer.c: processes that write into mailboxes with their users' rights.
 *
 * A process costs more than a delivery, so one that has written a message waits for the next one of the same user: it has given up root for good, has no
 * descriptor but its two pipes, reads nothing but paths and messages for that user, and may not be traced or gain rights by executing.  One message at a
 * time; who comes meanwhile starts another.  State: those that wait, newest first: at most KEPT, each for IDLE_MS.  None serves longer than AGE_MS, so that a
 * change of the user's groups takes hold.  Yields.
 *
 * To the child: struct order, path, top, content.  From the child: struct answer, text.  An end of file before all of it has come means that it must not
 * be kept: the agent has died, or cannot read the message. */
#include "writer.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#define KEPT 50
#define IDLE_MS PH_SECONDS(10)
#define AGE_MS PH_SECONDS(60)
#define LIMIT_MS PH_SECONDS(3600)       /* for one message: locks and slow disks included */
#define TEXT_MAX 4000
#define CHUNK 65536

struct order { int64_t content; uint32_t path, top; bool any_file; };
struct answer { int32_t code; uint32_t text; };

struct writer {
	struct writer *next;
	struct ph_run *run;
	uid_t uid;
	gid_t gid;
	char *user;
	int64_t born_ms, idle_ms;
};

struct local_writers {
	struct writer *idle;            /* newest first */
	size_t n_idle;
	struct ph_co *reaper;           /* NULL: none waits */
	struct ph_waitq reaped;
};

/* ---- the child ---- */

/* What has come and was not used yet: one read for all of a small message. */
static struct { char bytes[CHUNK]; size_t at, end; } in;

/* False: the end. */
static bool fill(void)
{
	ssize_t k = read(0, in.bytes, sizeof in.bytes);

	in.at = 0;
	in.end = k > 0 ? (size_t)k : 0;
	return k > 0;
}

static bool get(void *p, size_t n)
{
	char *at = p;

	while (n > 0) {
		size_t k = in.end - in.at < n ? in.end - in.at : n;

		memcpy(at, in.bytes + in.at, k);
		in.at += k;
		at += k;
		n -= k;
		if (n > 0 && !fill())
			return false;
	}
	return true;
}

static bool put(const void *p, size_t n)
{
	const char *at = p;

	while (n > 0) {
		ssize_t k = write(1, at, n);

		if (k <= 0)
			return false;
		at += k;
		n -= (size_t)k;
	}
	return true;
}

static bool answer(const struct box *b, int rc)
{
	struct { struct answer a; char text[TEXT_MAX]; } out = { .a.code = rc == 0 ? 0 : b->status == PH_BOUNCED ? 2 : 1 };
	char *text = out.text;
	int n = 0;

	if (b->warning[0])
		n = snprintf(text, TEXT_MAX, "W %s\n", b->warning);
	if (rc == 0)
		n += snprintf(text + n, TEXT_MAX - (size_t)n, "%lld", (long long)b->start);
	else
		n += snprintf(text + n, TEXT_MAX - (size_t)n, "%s %s", b->dsn, b->text);
	out.a.text = (uint32_t)n;
	return put(&out, sizeof out.a + (size_t)n);
}

/* False: no further ones. */
static bool serve_one(const struct box *form, const struct order *o)
{
	char *path = ph_alloc((size_t)o->path + 1), *top = ph_alloc((size_t)o->top + 1);
	struct box b = *form;
	int64_t left = o->content;
	bool whole = get(path, o->path) && get(top, o->top);
	int rc = -1;

	b.path = path;
	b.any_file = o->any_file;
	if (whole && (rc = box_open(&b)) == 0 && (rc = box_top(&b, top)) < 0)
		box_abort(&b);
	/* What does not fit is still read: the next order stands behind it. */
	while (whole && left > 0) {
		size_t n = in.end - in.at;

		if (n == 0) {
			whole = fill();
			continue;
		}
		if ((int64_t)n > left)
			n = (size_t)left;
		if (rc == 0 && (rc = box_write(&b, in.bytes + in.at, n)) < 0)
			box_abort(&b);
		in.at += n;
		left -= (int64_t)n;
	}
	if (rc == 0 && whole)
		rc = box_commit(&b);
	else if (rc == 0)
		box_abort(&b);
	whole = whole && answer(&b, rc);
	free(path);
	free(top);
	return whole;
}

static int serve(void *arg)
{
	struct order o;

	signal(SIGXFSZ, SIG_IGN);
	prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
	while (get(&o, sizeof o) && serve_one(arg, &o))
		;
	return 0;
}

/* ---- those that wait ---- */

static void writer_free(struct writer *w)
{
	ph_run_free(&w->run);
	free(w->user);
	free(w);
}

static bool has_had_its_time(const struct writer *w, int64_t now)
{
	return now - w->idle_ms >= IDLE_MS || now - w->born_ms >= AGE_MS;
}

/* The oldest of those that wait, out of the list; NULL: none, or (only_due) none whose time is over. */
static struct writer *take_last(struct local_writers *pool, bool only_due)
{
	struct writer **at = &pool->idle, *w;
	int64_t now = ph_now_ms();

	if (only_due) {
		while (*at && !has_had_its_time(*at, now))
			at = &(*at)->next;
	} else {
		while (*at && (*at)->next)
			at = &(*at)->next;
	}
	w = *at;
	if (w) {
		*at = w->next;
		pool->n_idle--;
	}
	return w;
}

static void reap(void *arg)
{
	struct local_writers *pool = arg;
	struct writer *w;

	while (pool->idle && ph_co_sleep(1000) == 0)
		while ((w = take_last(pool, true)))
			writer_free(w);
	pool->reaper = NULL;
	ph_waitq_wake_all(&pool->reaped);
}

static struct writer *take(struct local_writers *pool, const struct ph_run_spec *who)
{
	int64_t now = ph_now_ms();

	for (struct writer **at = &pool->idle, *w; (w = *at); at = &w->next) {
		if (w->uid == who->uid && w->gid == who->gid && strcmp(w->user, who->user) == 0 && !has_had_its_time(w, now)) {
			*at = w->next;
			pool->n_idle--;
			return w;
		}
	}
	return NULL;
}

static void keep(struct local_writers *pool, struct writer *w)
{
	w->idle_ms = ph_now_ms();
	w->next = pool->idle;
	pool->idle = w;
	if (!pool->reaper)
		pool->reaper = ph_co_spawn("idle mailbox writers", reap, pool);
	if (++pool->n_idle > KEPT)
		writer_free(take_last(pool, false));
}

struct local_writers *local_writers_new(void)
{
	return ph_alloc(sizeof(struct local_writers));
}

void local_writers_free(struct local_writers **poolp)
{
	struct local_writers *pool = *poolp;
	struct writer *w;

	*poolp = NULL;
	if (!pool)
		return;
	while ((w = take_last(pool, false)))
		writer_free(w);
	if (pool->reaper)
		ph_co_cancel(pool->reaper);
	while (pool->reaper)
		(void)ph_waitq_wait(&pool->reaped, ph_now_ms() + 1000);
	free(pool);
}

/* ---- work ---- */

static struct writer *start(const struct ph_run_spec *who, const struct box *form, struct ph_err *err)
{
	struct ph_run_spec spec = *who;
	struct box copy = *form;        /* the child has its own from the fork on */
	struct writer *w = ph_alloc(sizeof *w);

	spec.fn = serve;
	spec.arg = &copy;
	spec.dialogue = true;
	if (ph_run_start(&spec, &w->run, err) < 0) {
		free(w);
		return NULL;
	}
	w->uid = who->uid;
	w->gid = who->gid;
	w->user = ph_strdup(who->user);
	w->born_ms = ph_now_ms();
	return w;
}

/* What does not fit into memory at once. */
static int send_pieces(struct local_state *st, struct writer *w, int64_t bytes, struct ph_err *err)
{
	char *buf = ph_alloc(CHUNK);
	int64_t at = 0;
	ssize_t n;
	int rc = 0;

	while (rc == 0 && at < bytes) {
		n = ph_delivery_read(st->d, at, buf, CHUNK, err);
		if (n <= 0) {
			rc = n < 0 ? (int)n : ph_err_set(err, -EIO, "the message is shorter than it should be");
			break;
		}
		if (n > bytes - at)
			n = (ssize_t)(bytes - at);
		rc = ph_run_write(w->run, buf, (size_t)n);
		if (rc < 0)
			ph_err_errno(err, rc, "the delivery process does not read");
		at += n;
	}
	free(buf);
	return rc;
}

static int hand_over(struct local_state *st, struct writer *w, const struct box *form, const char *top, struct ph_err *err)
{
	struct ph_slice content = ph_delivery_content(st->d);
	struct order o = { ph_delivery_bytes(st->d), (uint32_t)strlen(form->path), (uint32_t)strlen(top), form->any_file };
	struct ph_buf b;
	int rc;

	ph_buf_init(&b, SIZE_MAX);
	ph_buf_append(&b, &o, sizeof o);
	ph_buf_append(&b, form->path, o.path);
	ph_buf_append(&b, top, o.top);
	if (content.p)
		ph_buf_append(&b, content.p, content.n);
	rc = ph_run_write(w->run, b.data, b.len);
	ph_buf_done(&b);
	if (rc < 0)
		return ph_err_errno(err, rc, "the delivery process does not read");
	return content.p ? 0 : send_pieces(st, w, o.content, err);
}

static int receive(struct local_state *st, struct writer *w, const char **ret_output, struct ph_err *err)
{
	int64_t deadline = ph_now_ms() + LIMIT_MS;
	struct answer a;
	char *text;
	int rc = ph_run_read(w->run, &a, sizeof a, deadline);

	if (rc == 0 && (a.code < 0 || a.code > 2 || a.text >= TEXT_MAX))
		rc = -EPROTO;
	if (rc == 0) {
		text = ph_arena_alloc(st->arena, (size_t)a.text + 1);
		rc = ph_run_read(w->run, text, a.text, deadline);
		*ret_output = text;
	}
	return rc < 0 ? ph_err_errno(err, rc, "the delivery process failed") : a.code;
}

/* It is out of step, dead, or too slow.  An end of its input lets it take back what it has begun. */
static void end(struct writer *w)
{
	const char *output;
	int status;

	ph_run_limit(w->run, PH_SECONDS(10));
	(void)ph_run_end(w->run, &status, &output);
	writer_free(w);
}

int local_writer_run(struct local_state *st, const struct ph_run_spec *who, const struct box *form, const char *top, const char **ret_output,
		     struct ph_err *err)
{
	struct local_writers *pool = st->svc->writers;
	struct writer *w;
	bool old;
	int rc;

	do {
		w = take(pool, who);
		old = w != NULL;
		if (!w && !(w = start(who, form, err)))
			return err->code;
		ph_run_limit(w->run, LIMIT_MS);
		rc = hand_over(st, w, form, top, err);
		if (rc == 0)
			rc = receive(st, w, ret_output, err);
		if (rc < 0)
			end(w);
		else
			keep(pool, w);
		/* One that was killed while it waited: that is no reason to make the mail wait. */
	} while (old && (rc == -EPIPE || rc == -ENODATA));
	return rc;
}
