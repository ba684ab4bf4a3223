/* scan.c: the Delivered-To: headers of a message, read by a process that can do nothing else.
 *
 * The agent is root and parses no mail.  One child per agent, started at the first use and again after its death, runs as the default user, and
 * may only read, write and exit (seccomp's strict mode): it gets the content piece by piece until it has seen the end of the headers, and
 * answers with the values.  A content without the name anywhere, which takes no parsing to see, is not sent to it at all.
 * State: the child, and whose turn it is.  Yields.
 *
 * To the child: u32 n, n bytes; n = 0: that was all.  From the child, for each piece: 'M' more, or 'D', u32 n, n bytes of values in lower case,
 * each ended by a NUL. */
#include "local.h"
#include "delivered.h"

#include <errno.h>
#include <string.h>
#include <strings.h>
#include <stdlib.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <unistd.h>

#define PIECE 16384
#define HEADERS_MAX (1024 * 1024)       /* nothing further down is looked at */
#define REPLY_MS PH_SECONDS(60)

struct local_scanner {
	struct local_service *svc;
	struct ph_run *run;             /* NULL: not started */
	struct ph_sem turn;
};

struct local_scanner *local_scanner_new(struct local_service *svc)
{
	struct local_scanner *s = ph_alloc(sizeof *s);

	s->svc = svc;
	s->turn.free = 1;
	return s;
}

void local_scanner_free(struct local_scanner **s)
{
	if (!*s)
		return;
	ph_run_free(&(*s)->run);
	free(*s);
	*s = NULL;
}

/* ---- the child ---- */

static bool get(void *p, size_t n)
{
	char *at = p;

	while (n > 0) {
		ssize_t k = read(0, at, n);

		if (k <= 0)
			return false;
		at += k;
		n -= (size_t)k;
	}
	return true;
}

static void put(const void *p, size_t n)
{
	const char *at = p;

	while (n > 0) {
		ssize_t k = write(1, at, n);

		if (k <= 0)
			_exit(1);
		at += k;
		n -= (size_t)k;
	}
}

static int child(void *unused)
{
	static char piece[PIECE];
	static struct delivered d;
	uint32_t n;

	(void)unused;
	prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
#if !defined(__SANITIZE_ADDRESS__)
	prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT);
#endif
	while (get(&n, sizeof n)) {
		if (n > sizeof piece || !get(piece, n))
			break;
		if (n > 0 && !delivered_feed(&d, piece, n)) {
			put("M", 1);
			continue;
		}
		delivered_end(&d);
		n = (uint32_t)d.bytes;
		put("D", 1);
		put(&n, sizeof n);
		put(d.values, d.bytes);
		delivered_reset(&d);
	}
	return 0;
}

/* ---- the agent ---- */

static int start(struct local_scanner *s, struct ph_err *err)
{
	struct ph_run_spec spec = { .uid = s->svc->default_uid, .gid = s->svc->default_gid, .fn = child, .dialogue = true };

	return s->run ? 0 : ph_run_start(&spec, &s->run, err);
}

static void keep(struct local_state *st, const char *values, size_t n)
{
	struct local_shared *sh = st->shared;
	size_t count = 0;

	for (size_t i = 0; i < n; i++)
		count += values[i] == '\0';
	sh->delivered_to = ph_arena_alloc(st->arena, (count + 1) * sizeof *sh->delivered_to);
	for (size_t at = 0; sh->n_delivered_to < count; at += strlen(values + at) + 1)
		sh->delivered_to[sh->n_delivered_to++] = values + at;
}

static int answer(struct local_scanner *s, struct local_state *st, bool *ret_done)
{
	int64_t deadline = ph_now_ms() + REPLY_MS;
	uint32_t n;
	char word, *values;
	int rc = ph_run_read(s->run, &word, 1, deadline);

	if (rc < 0 || word == 'M')
		return rc;
	if (word != 'D' || (rc = ph_run_read(s->run, &n, sizeof n, deadline)) < 0)
		return rc < 0 ? rc : -EPROTO;
	if (n > DELIVERED_BYTES_MAX)
		return -EPROTO;
	values = ph_arena_alloc(st->arena, n + 1);
	if (n > 0 && (rc = ph_run_read(s->run, values, n, deadline)) < 0)
		return rc;
	if (n > 0 && values[n - 1])
		return -EPROTO;
	keep(st, values, n);
	*ret_done = true;
	return 0;
}

static int ask(struct local_scanner *s, struct local_state *st, char *buf, struct ph_err *err)
{
	bool done = false;
	int64_t at = 0;
	ssize_t n;
	uint32_t bytes;
	int rc;

	do {
		n = at < HEADERS_MAX ? ph_delivery_read(st->d, at, buf, PIECE, err) : 0;
		if (n < 0)
			return (int)n;
		at += n;
		bytes = (uint32_t)n;
		rc = ph_run_write(s->run, &bytes, sizeof bytes);
		if (rc == 0 && n > 0)
			rc = ph_run_write(s->run, buf, (size_t)n);
		if (rc == 0)
			rc = answer(s, st, &done);
		if (rc < 0) {
			ph_run_free(&s->run);   /* out of step, or dead: the next one gets a new child */
			return ph_err_errno(err, rc, "scan of the headers");
		}
	} while (!done);
	return 0;
}

/* Is there a "delivered-to" in these bytes at all?  The hyphen is what is rare. */
static bool has_name(struct ph_slice content)
{
	const char *p = content.p, *end = content.p + content.n;

	while ((p = memchr(p, '-', (size_t)(end - p)))) {
		if (p - content.p >= 9 && end - p >= 3 && strncasecmp(p - 9, "delivered-to", 12) == 0)
			return true;
		p++;
	}
	return false;
}

int local_scan(struct local_state *st, struct ph_err *err)
{
	struct local_scanner *s = st->svc->scanner;
	struct ph_slice content = ph_delivery_content(st->d);
	char *buf;
	int rc;

	if (content.p && !has_name(content))
		return 0;
	rc = ph_sem_get(&s->turn, ph_now_ms() + PH_SECONDS(600));
	if (rc < 0)
		return ph_err_errno(err, rc, "scan of the headers");
	buf = ph_alloc(PIECE);
	rc = start(s, err);
	if (rc == 0)
		rc = ask(s, st, buf, err);
	free(buf);
	ph_sem_put(&s->turn);
	return rc;
}
