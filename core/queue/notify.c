/* notify.c: who is told what about a message: non-delivery, delay, success, reports; and when nobody is (bounce(8), RFC 3461).
 *
 * A notification is durable before the journal says that it was sent; between the two a restart finds the notification itself, whose envelope
 * says whom it is about (recover.c), so none is sent twice.  One that cannot be made leaves the message in the queue.
 * No state.  ph_notify_send yields. */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/fault.h"
#include "base/pack.h"
#include "queue/parts.h"
#include "queue/qmgr_private.h"

#define LIST_MAX ((size_t)16 * 1024)    /* of recipients in the envelope's attribute */

static bool class_on(const struct ph_qmgr *q, const char *name)
{
	const char *p = q->set.notify_classes;
	size_t n = strlen(name);

	while (*p) {
		p += strspn(p, PH_SEP_LIST);
		if (strncasecmp(p, name, n) == 0 && (p[n] == '\0' || strchr(PH_SEP_LIST, p[n])))
			return true;
		p += strcspn(p, PH_SEP_LIST);
	}
	return false;
}

/* NOTIFY=NEVER is between the sender and us: the postmaster hears of it all the same, if he wants to hear of such. */
bool ph_notify_bounced(const struct ph_qmgr *q, const struct ph_entry *e, uint32_t i)
{
	return !(e->rcpts[i].notify & PH_NOTIFY_NEVER) || (e->flags & (PH_ENV_TRACE | PH_ENV_TRACE_ONLY)) ||
	       class_on(q, *ph_entry_sender(e) ? "bounce" : "2bounce");
}

static bool has_state(const struct ph_entry *e, uint8_t state)
{
	uint32_t i;

	for (i = 0; i < e->n_rcpts; i++) {
		if (e->rcpts[i].state == state)
			return true;
	}
	return false;
}

static bool delay_due(const struct ph_qmgr *q, const struct ph_entry *e)
{
	return q->set.delay_warning_ms > 0 && !(e->marks & PH_MARK_WARNED) && ph_retry_age_ms(q, e) >= q->set.delay_warning_ms;
}

static bool is_double_bounce_sender(const struct ph_qmgr *q, const char *sender)
{
	size_t n = strlen(q->set.double_bounce_sender);

	return strncasecmp(sender, q->set.double_bounce_sender, n) == 0 && (sender[n] == '\0' || sender[n] == '@');
}

static bool failure_asked(unsigned notify)
{
	return !(notify & PH_NOTIFY_NEVER) && (notify == 0 || (notify & PH_NOTIFY_FAILURE));
}

static bool parts_bounced(const struct ph_qmgr *q, const struct ph_entry *e, uint32_t i)
{
	struct ph_reason r;

	return e->rcpts[i].state == PH_RCPT_TODO && ph_entry_reason(q->ix, e, i, &r) && ph_parts_pending(r.diag) && ph_parts_bounced(r.diag);
}

bool ph_notify_parts_due(const struct ph_qmgr *q, const struct ph_entry *e, uint32_t i)
{
	const char *sender = ph_entry_sender(e);

	return parts_bounced(q, e, i) && (failure_asked(e->rcpts[i].notify) || *sender == '\0' || is_double_bounce_sender(q, sender) || class_on(q, "bounce"));
}

static bool failure_due(const struct ph_qmgr *q, const struct ph_entry *e)
{
	uint32_t i;

	for (i = 0; i < e->n_rcpts; i++) {
		if (e->rcpts[i].state == PH_RCPT_BOUNCED || ph_notify_parts_due(q, e, i))
			return true;
	}
	return false;
}

bool ph_notify_wanted(struct ph_qmgr *q, struct ph_active *a)
{
	const struct ph_entry *e = a->e;

	if (e->flags & PH_ENV_VERIFY)
		return e->n_todo > 0;
	if (e->n_todo > 0 && !a->hold && (ph_retry_expired(q, e) || delay_due(q, e)))
		return true;
	if ((e->flags & PH_ENV_TRACE_ONLY) || ((e->flags & PH_ENV_TRACE) && !(e->marks & PH_MARK_TRACED)))
		return true;
	return failure_due(q, e) || has_state(e, PH_RCPT_SENT);
}

/* ---- the request ---- */

struct notice {
	struct ph_qmgr *q;
	struct ph_active *a;
	enum ph_bounce_kind kind;
	const char *word;               /* in the journal */
	struct ph_bounce_rcpt *rcpts;
	size_t n, cap;
	bool override;                  /* for the postmaster: whatever the sender wanted to hear */
};

static const char *keep(struct ph_active *a, const char *s)
{
	return ph_arena_strdup(a->arena, s);
}

/* Is a notification of this kind about recipient i wanted by the sender? */
static bool wanted(const struct notice *n, const struct ph_entry *e, uint32_t i)
{
	unsigned notify = e->rcpts[i].notify;

	switch (n->kind) {
	case PH_BOUNCE_FAILURE:
		return (e->rcpts[i].state == PH_RCPT_BOUNCED || parts_bounced(n->q, e, i)) && (n->override || failure_asked(notify));
	case PH_BOUNCE_DELAY:
		return e->rcpts[i].state == PH_RCPT_TODO && !(notify & PH_NOTIFY_NEVER) && (notify == 0 || (notify & PH_NOTIFY_DELAY));
	case PH_BOUNCE_SUCCESS:
		return e->rcpts[i].state == PH_RCPT_SENT;
	case PH_BOUNCE_TRACE:
		return e->rcpts[i].state != PH_RCPT_CLOSED;
	}
	return false;
}

/* Sent on to somebody who will not say more: another server, or a command that is not the last station (pipe(8), flag X). */
static bool relayed(struct ph_qmgr *q, const char *relay)
{
	const struct ph_service *s = strchr(relay, '[') ? NULL : ph_qmgr_transport_service(q, relay);

	if (!s || strcmp(s->command, "pipe") != 0)
		return strchr(relay, '[') != NULL;
	for (int i = 0; i < s->argc; i++)
		if (strncmp(s->argv[i], "flags=", 6) == 0 && strchr(s->argv[i], 'X'))
			return false;
	return true;
}

static const char *action_of(const struct notice *n, const struct ph_entry *e, uint32_t i, const struct ph_reason *r, enum ph_delivery_status status)
{
	if ((e->rcpts[i].notify & PH_NOTIFY_EXPANDED) || (status == PH_SENT && ph_parts_are(r->diag)))
		return "expanded";
	if (e->flags & PH_ENV_TRACE_ONLY)
		return status == PH_SENT ? "deliverable" : "undeliverable";
	return status == PH_SENT && relayed(n->q, r->relay) ? "relayed" : NULL;
}

/* Reports name who delivered, or tried to. */
static const char *text_of(const struct notice *n, const struct ph_reason *r)
{
	bool report = n->kind == PH_BOUNCE_SUCCESS || n->kind == PH_BOUNCE_TRACE;

	if (!report || *r->relay == '\0' || strcmp(r->relay, "none") == 0)
		return keep(n->a, r->text);
	return ph_arena_printf(n->a->arena, "delivery via %s: %s", r->relay, r->text);
}

/* In the order of their results; where that is not known any more (after a restart), by domain, then by address: the order in which an agent is
 * told about them. */
static int by_order(const void *one, const void *two, void *arg)
{
	const struct ph_active *active = arg;
	const struct ph_envelope *env = active->env;
	uint32_t i = ((const struct ph_bounce_rcpt *)one)->index, k = ((const struct ph_bounce_rcpt *)two)->index;
	const char *a = env->rcpts[i].address, *b = env->rcpts[k].address;

	const char *at_a = strrchr(a, '@'), *at_b = strrchr(b, '@');
	int r = (int)active->e->rcpts[i].order - (int)active->e->rcpts[k].order;

	if (r == 0 && at_a && at_b)
		r = strcasecmp(at_a, at_b);
	if (r == 0)
		r = strcmp(a, b);
	return r ? r : (i > k) - (i < k);       /* the parts of one stay together */
}

/* A failure notification about parts of it; the recipient itself is still to be delivered. */
static bool goes_on(const struct notice *n, uint32_t i)
{
	return n->kind == PH_BOUNCE_FAILURE && n->a->e && n->a->e->rcpts[i].state == PH_RCPT_TODO;
}

/* A recipient that was expanded: each destination that bounced, or waits, stands for itself.  false: there is none to be told of. */
static bool add_parts(struct notice *n, uint32_t i, const struct ph_reason *r, enum ph_delivery_status status)
{
	const char *at = keep(n->a, r->diag);
	size_t room = n->a->e->n_rcpts - i, before = n->n;
	struct ph_part part;

	while (ph_parts_next(&at, n->a->arena, &part)) {
		bool bounced = part.state == PH_PART_BOUNCED;

		if ((!bounced && (part.state != PH_PART_PENDING || goes_on(n, i))) || (bounced && n->kind == PH_BOUNCE_DELAY))
			continue;
		if (n->n + room >= n->cap) {
			struct ph_bounce_rcpt *more = ph_arena_alloc(n->a->arena, 2 * n->cap * sizeof(*more));

			memcpy(more, n->rcpts, n->n * sizeof(*more));
			n->rcpts = more;
			n->cap *= 2;
		}
		n->rcpts[n->n++] = (struct ph_bounce_rcpt){ .index = i, .status = bounced ? PH_BOUNCED : status,
			.dsn = *part.dsn ? part.dsn : keep(n->a, r->dsn), .text = *part.text ? part.text : keep(n->a, r->text),
			.relay = keep(n->a, r->relay), .mta = part.mta, .diag = part.diag, .address = part.address, .anonymous = part.anonymous, .time_us = ph_wall_us() };
	}
	return n->n > before;
}

static void collect(struct notice *n)
{
	const struct ph_entry *e = n->a->e;
	uint32_t i;

	n->cap = e->n_rcpts + 1;
	n->rcpts = ph_arena_alloc(n->a->arena, n->cap * sizeof(n->rcpts[0]));
	n->n = 0;
	for (i = 0; i < e->n_rcpts; i++) {
		struct ph_reason r;
		enum ph_delivery_status status = e->rcpts[i].state == PH_RCPT_SENT ? PH_SENT : e->rcpts[i].state == PH_RCPT_BOUNCED ? PH_BOUNCED : PH_DEFERRED;

		if (!wanted(n, e, i))
			continue;
		ph_entry_reason(n->q->ix, e, i, &r);
		if (status == PH_SENT && ph_parts_are(r.diag))
			r = (struct ph_reason){ "2.0.0", "alias expanded", "local", "", r.diag };
		if (status != PH_SENT && ph_parts_are(r.diag) && add_parts(n, i, &r, status))
			continue;
		n->rcpts[n->n++] = (struct ph_bounce_rcpt){ .index = i, .status = status, .action = action_of(n, e, i, &r, status),
			.dsn = keep(n->a, *r.dsn ? r.dsn : status == PH_SENT ? "2.0.0" : status == PH_BOUNCED ? "5.0.0" : "4.0.0"),
			.text = text_of(n, &r), .relay = keep(n->a, r.relay), .mta = *r.mta ? keep(n->a, r.mta) : NULL,
			.diag = *r.diag && !ph_parts_are(r.diag) ? keep(n->a, r.diag) : NULL, .time_us = ph_wall_us(),
			.address = n->a->addresses ? n->a->addresses[i] : NULL };
	}
	qsort_r(n->rcpts, n->n, sizeof(n->rcpts[0]), by_order, n->a);
}

/* "0,1,2" for as long as it fits; the rest would be told twice after a crash in the wrong microsecond. */
static const char *rcpt_list(const struct notice *n, const struct ph_bounce_rcpt *rcpts, size_t n_rcpts)
{
	struct ph_buf b = PH_BUF_INIT(LIST_MAX);
	const char *text;
	size_t i;

	for (i = 0; i < n_rcpts; i++) {
		if (goes_on(n, rcpts[i].index) || (i > 0 && rcpts[i].index == rcpts[i - 1].index))      /* the next part of one recipient */
			continue;
		if (ph_buf_printf(&b, "%s%u", b.len ? "," : "", rcpts[i].index) < 0)
			break;
	}
	text = ph_arena_strdup(n->a->arena, ph_buf_str(&b));
	ph_buf_done(&b);
	return text;
}

static const struct ph_conf *conf_of(struct ph_qmgr *q, enum ph_bounce_kind kind)
{
	return ph_qmgr_service_conf(q, kind == PH_BOUNCE_FAILURE ? q->set.bounce_service : kind == PH_BOUNCE_DELAY ? q->set.defer_service :
				    q->set.trace_service);
}

static int send_to(struct notice *n, const char *to, bool postmaster, bool double_bounce, struct ph_bounce_rcpt *rcpts, size_t n_rcpts)
{
	struct ph_qmgr *q = n->q;
	struct ph_active *a = n->a;
	char queue_id[PH_QUEUE_ID_MAX] = "";
	const char *names[3] = { "notice_of", "notice_kind", "notice_rcpts" };
	const char *values[3] = { a->ref.queue_id, n->word, rcpt_list(n, rcpts, n_rcpts) };
	int64_t life = *a->env->sender ? q->set.lifetime_ms : q->set.bounce_lifetime_ms;
	struct ph_bounce_request req = {
		.kind = n->kind, .conf = conf_of(q, n->kind), .env = a->env, .ref = &a->ref, .queue_dirfd = q->dirfd, .to = to,
		.postmaster = postmaster, .double_bounce = double_bounce,
		.full = n->kind == PH_BOUNCE_FAILURE && !(a->env->flags & PH_ENV_PARTIAL) && !(a->env->ret && strcasecmp(a->env->ret, "HDRS") == 0) && (!postmaster || double_bounce),
		.expires_us = a->env->arrival_us + life * 1000, .n_rcpts = n_rcpts, .rcpts = rcpts, .arena = a->arena,
		/* The copy for the postmaster does not stand for the sender's. */
		.attr_names = names, .attr_values = values, .n_attrs = postmaster && !double_bounce ? 0 : 3, .ret_queue_id = queue_id,
	};
	struct ph_err err = { 0 };
	int r = ph_fault("notify.send");

	if (r < 0)
		ph_err_errno(&err, r, "fault");
	else
		r = ph_bounce_send(&req, &err);
	if (r < 0)
		ph_log(PH_LOG_WARNING, "%s: notification to <%s> failed: %s", a->ref.queue_id, to, err.text);
	else
		q->stats.notifications++;
	return r;
}

/* The journal knows; the recipients are closed (not after a delay warning: these go on). */
static void record(struct notice *n, const struct ph_bounce_rcpt *rcpts, size_t n_rcpts)
{
	struct ph_qmgr *q = n->q;
	struct ph_journal_rec rec = { .type = PH_J_NOTIFIED, .time_ms = ph_wall_us() / 1000, .text = { n->word, strlen(n->word) } };
	struct ph_buf blob = PH_BUF_INIT(SIZE_MAX / 2);
	struct ph_err err;
	size_t i;

	memcpy(rec.queue_id, n->a->ref.queue_id, sizeof(rec.queue_id));
	for (i = 0; i < n_rcpts; i++) {
		if (!goes_on(n, rcpts[i].index) && (n->kind != PH_BOUNCE_TRACE || rcpts[i].status == PH_SENT))
			ph_pack_u32(&blob, rcpts[i].index);
	}
	rec.blob = (struct ph_slice){ blob.data, blob.len };
	if (ph_journal_append(q->journal, &rec, &err) < 0)
		ph_log(PH_LOG_ERROR, "%s: journal: %s", rec.queue_id, err.text);
	q->journal_bytes += 64 + blob.len;
	ph_buf_done(&blob);
}

/* A crash between the notification and this tells it twice. */
static void part_told(struct notice *n, struct ph_entry *e, uint32_t i, const char *address)
{
	struct ph_journal_rec rec = { .type = PH_J_PART, .status = PH_J_TOLD, .rcpt = i, .time_ms = ph_wall_us() / 1000, .blob = ph_part_key(n->a->arena, address, "") };
	struct ph_err err;

	memcpy(rec.queue_id, n->a->ref.queue_id, sizeof(rec.queue_id));
	if (ph_journal_append(n->q->journal, &rec, &err) < 0)
		ph_log(PH_LOG_ERROR, "%s: journal: %s", rec.queue_id, err.text);
	n->q->journal_bytes += 64 + rec.blob.n;
	ph_qmgr_part_told(n->q, e, i, address);
}

static void close_rcpts(struct notice *n, struct ph_entry *e, size_t n_rcpts)
{
	size_t i;

	for (i = 0; i < n_rcpts; i++) {
		if (goes_on(n, n->rcpts[i].index))
			part_told(n, e, n->rcpts[i].index, n->rcpts[i].address);
		else
			ph_index_result(n->q->ix, e, n->rcpts[i].index, PH_RCPT_CLOSED, NULL);
	}
}

/* Recipients of this state about whom nobody wants to hear. */
static void close_unwanted(struct notice *n, struct ph_entry *e, uint8_t state)
{
	uint32_t i;

	for (i = 0; i < e->n_rcpts; i++) {
		if (e->rcpts[i].state == state && !wanted(n, e, i))
			ph_index_result(n->q->ix, e, i, PH_RCPT_CLOSED, NULL);
	}
}

/* ---- the kinds ---- */

const char *ph_verp_sender(struct ph_arena *arena, const char *sender, const char *delims, const char *rcpt)
{
	const char *at = strrchr(sender, '@'), *rat = strrchr(rcpt, '@');
	int local = at ? (int)(at - sender) : (int)strlen(sender);

	if (*sender == '\0')
		return sender;
	if (!rat)
		return ph_arena_printf(arena, "%.*s%c%s%s", local, sender, delims[0], rcpt, at ? at : "");
	return ph_arena_printf(arena, "%.*s%c%.*s%c%s%s", local, sender, delims[0], (int)(rat - rcpt), rcpt, delims[1], rat + 1, at ? at : "");
}

/* VERP: each recipient's bounce goes to an address that names the recipient; one that was expanded has all its parts in it.  Each is a notification of its
 * own: a crash, or an error at the next one, must neither repeat it nor stand for those that are still to come. */
static int send_verp(struct notice *n)
{
	struct ph_active *a = n->a;
	size_t i, next;
	int r = 0;

	for (i = 0; i < n->n && a->e; i = next) {
		const struct ph_rcpt *rc = &a->env->rcpts[n->rcpts[i].index];

		for (next = i + 1; next < n->n && n->rcpts[next].index == n->rcpts[i].index; next++)
			;
		r = send_to(n, ph_verp_sender(a->arena, a->env->sender, a->verp_delims, rc->original && *rc->original ? rc->original : rc->address), false, false,
			    &n->rcpts[i], next - i);
		if (r < 0)
			break;
		record(n, &n->rcpts[i], next - i);
	}
	if (r < 0 && a->e)
		close_rcpts(n, a->e, i);
	return r;
}

static int send_failure(struct notice *n)
{
	struct ph_qmgr *q = n->q;
	const char *sender = n->a->env->sender;
	int r = 0;

	n->override = is_double_bounce_sender(q, sender) || *sender == '\0';
	collect(n);
	if (is_double_bounce_sender(q, sender)) {
		if (n->n)
			ph_log_as("bounce", PH_LOG_WARNING, "%s: undeliverable postmaster notification discarded", n->a->ref.queue_id);
		return 0;
	}
	if (*sender == '\0')
		return n->n && class_on(q, "2bounce") ? send_to(n, q->set.two_bounce_notice, true, true, n->rcpts, n->n) : 0;
	if (n->n)
		r = n->a->verp_delims && !q->set.disable_verp_bounces ? send_verp(n) : send_to(n, sender, false, false, n->rcpts, n->n);
	if (r == 0 && n->a->e && class_on(q, "bounce")) {
		n->override = true;
		collect(n);
		send_to(n, q->set.bounce_notice, true, false, n->rcpts, n->n);
	}
	return r;
}

static int send_delay(struct notice *n)
{
	struct ph_qmgr *q = n->q;
	const char *sender = n->a->env->sender;
	int r = 0;

	collect(n);
	if (n->n == 0 || *sender == '\0' || is_double_bounce_sender(q, sender))
		return 0;
	r = send_to(n, sender, false, false, n->rcpts, n->n);
	if (r == 0 && class_on(q, "delay"))
		send_to(n, q->set.delay_notice, true, false, n->rcpts, n->n);
	return r;
}

static int send_plain(struct notice *n)
{
	const char *sender = n->a->env->sender;

	collect(n);
	if (n->n == 0)
		return 0;
	if (*sender == '\0' || is_double_bounce_sender(n->q, sender)) {
		ph_log_as("bounce", PH_LOG_INFO, "%s: not sending trace/success notification for %s-bounce message", n->a->ref.queue_id,
			  *sender ? "double" : "single");
		return 0;
	}
	return send_to(n, sender, false, false, n->rcpts, n->n);
}

/* All that is still to be delivered has failed now, for the reason of its last delay. */
static void expire(struct ph_qmgr *q, struct ph_active *a)
{
	struct ph_entry *e = a->e;
	uint32_t i;

	ph_log(PH_LOG_INFO, "%s: from=<%s>, status=%s, returned to sender", a->ref.queue_id,
	       *a->env->sender ? ph_address_quote(a->arena, a->env->sender) : "", e->marks & PH_MARK_EXPIRE ? "force-expired" : "expired");
	q->stats.expired++;
	for (i = 0; i < e->n_rcpts; i++) {
		struct ph_reason r, copy;

		if (e->rcpts[i].state != PH_RCPT_TODO)
			continue;
		if (!ph_entry_reason(q->ix, e, i, &r))
			r = (struct ph_reason){ "4.7.0", "message is administratively expired", "none", "", "" };
		copy = (struct ph_reason){ keep(a, r.dsn), keep(a, r.text), keep(a, r.relay), keep(a, r.mta), keep(a, r.diag) };
		ph_index_result(q->ix, e, i, PH_RCPT_BOUNCED, &copy);
	}
}

static int run(struct ph_qmgr *q, struct ph_active *a, enum ph_bounce_kind kind, const char *word, int (*send)(struct notice *n), uint8_t state)
{
	struct notice n = { .q = q, .a = a, .kind = kind, .word = word };
	int r = send(&n);

	if (r < 0 || a->e == NULL)
		return r;
	if (n.n)
		record(&n, n.rcpts, n.n);
	if (state != PH_RCPT_TODO) {
		close_rcpts(&n, a->e, n.n);
		close_unwanted(&n, a->e, state);
	}
	return 0;
}

/* A report on every recipient; what was delivered is closed, what failed is also bounced unless this was only a report. */
static int run_trace(struct ph_qmgr *q, struct ph_active *a)
{
	struct notice n = { .q = q, .a = a, .kind = PH_BOUNCE_TRACE, .word = "trace" };
	int r = send_plain(&n);
	uint32_t i;

	if (r < 0 || a->e == NULL)
		return r;
	record(&n, n.rcpts, n.n);
	a->e->marks |= PH_MARK_TRACED;
	for (i = 0; i < a->e->n_rcpts; i++) {
		if (a->e->rcpts[i].state == PH_RCPT_SENT || (a->e->flags & PH_ENV_TRACE_ONLY))
			ph_index_result(q->ix, a->e, i, PH_RCPT_CLOSED, NULL);
	}
	return 0;
}

int ph_notify_send(struct ph_qmgr *q, struct ph_active *a)
{
	struct ph_entry *e = a->e;
	int r = 0;
	uint32_t i;

	if (e->flags & PH_ENV_VERIFY) {         /* a probe is not tried twice */
		for (i = 0; i < e->n_rcpts; i++)
			ph_index_result(q->ix, e, i, PH_RCPT_CLOSED, NULL);
		return 0;
	}
	if ((e->flags & PH_ENV_TRACE_ONLY) || ((e->flags & PH_ENV_TRACE) && !(e->marks & PH_MARK_TRACED)))
		r = run_trace(q, a);
	if (r == 0 && a->e && e->n_todo > 0 && !a->hold && ph_retry_expired(q, e))
		expire(q, a);
	if (r == 0 && a->e && failure_due(q, e))
		r = run(q, a, PH_BOUNCE_FAILURE, "failure", send_failure, PH_RCPT_BOUNCED);
	if (r == 0 && a->e && has_state(e, PH_RCPT_SENT))
		r = run(q, a, PH_BOUNCE_SUCCESS, "success", send_plain, PH_RCPT_SENT);
	if (r == 0 && a->e && e->n_todo > 0 && delay_due(q, e)) {
		r = run(q, a, PH_BOUNCE_DELAY, "delay", send_delay, PH_RCPT_TODO);
		if (r == 0 && a->e)
			e->marks |= PH_MARK_WARNED;
	}
	if (r < 0)
		ph_log(PH_LOG_INFO, "%s: status=deferred (bounce failed)", a->ref.queue_id);
	return r;
}
