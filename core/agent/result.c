/* result.c: what a module says about a recipient: to the journal, to the log, to the queue manager, in this order.
 *
 * No state of its own.  Does not yield, unless a delivery status filter is a network table. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "agent/agent_private.h"
#include "base/pack.h"
#include "base/time.h"
#include "config/general.h"
#include "queue/parts.h"
#include "route/route.h"

/* ---- delays ------------------------------------------------------------------------------- */

void ph_delay_format(int64_t us, int max_digits, char *buf, size_t bytes)
{
	int64_t unit = 1000000, whole, rest;
	int digits = 0, n;

	if (us < 0)
		us = 0;
	/* Two digits that count: none behind the point from 10 s on, one from 1 s on, ... */
	while (digits < max_digits && us < 10 * unit && unit > 1) {
		unit /= 10;
		digits++;
	}
	us = (us + unit / 2) / unit;
	for (; digits > 0 && us % 10 == 0; digits--)
		us /= 10;
	for (rest = 1, n = 0; n < digits; n++)
		rest *= 10;
	whole = us / rest;
	n = snprintf(buf, bytes, "%lld", (long long)whole);
	if (digits && (size_t)(n + 8) < bytes) {
		buf[n++] = '.';
		for (us %= rest; digits-- > 0; us %= rest) {
			rest /= 10;
			buf[n++] = (char)('0' + us / rest);
		}
		buf[n] = '\0';
	}
}

static void log_delays(const struct ph_delivery *d, char out[160])
{
	const struct ph_delivery_request *req = d->req;
	int64_t now = ph_wall_us(), from = d->started_us, part[5];
	char text[5][24];
	int i;

	part[0] = now - req->arrival_us;
	part[1] = req->active_us - req->arrival_us;
	part[2] = from - req->active_us;
	part[3] = d->connected_us ? d->connected_us - from : 0;
	part[4] = now - (d->connected_us ? d->connected_us : from);
	for (i = 0; i < 5; i++)
		ph_delay_format(part[i], d->service->set.delay_digits, text[i], sizeof(text[i]));
	snprintf(out, 160, "delay=%s, delays=%s/%s/%s/%s", text[0], text[1], text[2], text[3], text[4]);
}

/* ---- changing the result ------------------------------------------------------------------ */

static bool dsn_valid(const char *dsn)
{
	int dots = 0;

	if ((dsn[0] != '2' && dsn[0] != '4' && dsn[0] != '5') || dsn[1] != '.' || strlen(dsn) > 11)
		return false;
	for (dsn++; *dsn; dsn++) {
		if (*dsn == '.') {
			if (dsn[1] < '0' || dsn[1] > '9')
				return false;
			dots++;
		} else if (*dsn < '0' || *dsn > '9') {
			return false;
		}
	}
	return dots == 2;
}

static char dsn_class(enum ph_delivery_status status)
{
	return status == PH_SENT ? '2' : status == PH_DEFERRED ? '4' : '5';
}

/* "X.Y.Z text" through the service's status filter. */
static void filter(struct ph_delivery *d, struct ph_result *r)
{
	struct ph_err err;
	const char *value, *key;
	char *copy, *text;
	enum ph_lookup found;

	if (d->service->filter == NULL)
		return;
	key = ph_arena_printf(d->arena, "%s %s", r->dsn, r->text);
	found = ph_maps_find(d->service->filter, key, false, d->arena, &value, &err);
	if (found == PH_LOOKUP_NOTFOUND)
		return;
	if (found != PH_LOOKUP_FOUND) {
		ph_log(PH_LOG_WARNING, "%s: delivery status filter: %s", d->req->ref.queue_id, err.text);
		return;
	}
	copy = ph_arena_strdup(d->arena, value);
	text = copy + strcspn(copy, " \t");
	if (*text)
		*text++ = '\0';
	text += strspn(text, " \t");
	if (!dsn_valid(copy) || (copy[0] == '2') != (r->status == PH_SENT)) {
		ph_log(PH_LOG_WARNING, "%s_delivery_status_filter: bad status code: %s", d->service->svc->command, value);
		return;
	}
	r->dsn = copy;
	if (*text)
		r->text = text;
	if (r->status != PH_SENT)
		r->status = copy[0] == '4' ? PH_DEFERRED : PH_BOUNCED;
}

/* ---- the record, the line, the frame ------------------------------------------------------ */

static void journal(struct ph_delivery *d, size_t i, const struct ph_result *r, bool more)
{
	struct ph_journal_rec rec = { .type = r->status == PH_DEFERRED ? PH_J_DEFERRED : PH_J_RESULT };
	struct ph_err err;

	if (d->probe)
		return;
	memcpy(rec.queue_id, d->req->ref.queue_id, sizeof(rec.queue_id));
	rec.rcpt = d->req->rcpts[i].index;
	if (d->req->rcpts[i].route) {
		rec.type = PH_J_PART;
		rec.blob = ph_part_key(d->arena, d->req->rcpts[i].address, d->req->rcpts[i].route);
	}
	rec.status = (uint8_t)r->status;
	rec.time_ms = ph_wall_us() / 1000;
	rec.dsn = (struct ph_slice){ r->dsn, strlen(r->dsn) };
	rec.text = (struct ph_slice){ r->text, strlen(r->text) };
	rec.relay = (struct ph_slice){ r->relay, strlen(r->relay) };
	if (d->mta)
		rec.mta = (struct ph_slice){ d->mta, strlen(d->mta) };
	if (d->diag)
		rec.diag = (struct ph_slice){ d->diag, strlen(d->diag) };
	if ((more ? ph_journal_append_batched(ph_agent_self.journal, &rec, &err) : ph_journal_append(ph_agent_self.journal, &rec, &err)) < 0)
		ph_log(PH_LOG_ERROR, "%s: the result for %s cannot be recorded: %s", rec.queue_id, d->rcpts[i].address, err.text);
}

static void journal_end(struct ph_delivery *d)
{
	struct ph_err err;

	if (!d->probe && ph_journal_flush(ph_agent_self.journal, &err) < 0)
		ph_log(PH_LOG_ERROR, "%s: results cannot be recorded: %s", d->req->ref.queue_id, err.text);
}

static void log_line(struct ph_delivery *d, size_t i, const char *address, const struct ph_result *r, const char *word)
{
	const struct ph_rcpt *rcpt = &d->rcpts[i];
	char delays[160], use[32] = "";
	const char *orig = "";

	if (*rcpt->original && !ph_str_fold_eq(address, rcpt->original, ph_conf_general(d->service->conf)->smtputf8_enable) && !d->part_owned)
		orig = ph_arena_printf(d->arena, " orig_to=<%s>,", ph_address_quote(d->arena, rcpt->original));
	if (d->conn_use > 1)
		snprintf(use, sizeof(use), " conn_use=%d,", d->conn_use);
	log_delays(d, delays);
	ph_log(PH_LOG_INFO, "%s: to=<%s>,%s relay=%s,%s %s, dsn=%s, status=%s (%s)", d->req->ref.queue_id,
	       ph_address_quote(d->arena, address), orig, r->relay, use, delays, r->dsn, word, r->text);
}

static void frame(struct ph_delivery *d, size_t i, unsigned status, const struct ph_result *r)
{
	struct ph_buf b = PH_BUF_INIT(64 * 1024);

	ph_pack_u64(&b, d->req->id);
	ph_pack_u32(&b, d->req->rcpts[i].index);
	ph_pack_u8(&b, (uint8_t)status);
	ph_pack_str(&b, r->dsn);
	ph_pack_str(&b, r->text);
	ph_pack_str(&b, r->relay);
	ph_pack_str(&b, d->mta);
	ph_pack_str(&b, d->diag);
	ph_pack_u8(&b, d->dsn_passed);
	if (d->req->rcpts[i].route) {
		ph_pack_str(&b, d->req->rcpts[i].route);
		ph_pack_str(&b, d->req->rcpts[i].address);
	}
	ph_agent_send(ph_agent_self.is_child ? (uint16_t)PH_CF_RESULT : (uint16_t)PH_F_RESULT, &b);
	ph_buf_done(&b);
}

static const char *status_word(const struct ph_delivery *d, enum ph_delivery_status status, bool softened)
{
	if (d->probe)
		return status == PH_SENT ? "deliverable" : "undeliverable";
	if (softened)
		return "SOFTBOUNCE";
	return status == PH_SENT ? "sent" : status == PH_DEFERRED ? "deferred" : "bounced";
}

bool ph_result_settle(struct ph_delivery *d, struct ph_result *r)
{
	char *dsn;

	if (!dsn_valid(r->dsn))
		r->dsn = r->status == PH_SENT ? "2.0.0" : r->status == PH_DEFERRED ? "4.0.0" : "5.0.0";
	if (r->dsn[0] != dsn_class(r->status)) {
		dsn = ph_arena_strdup(d->arena, r->dsn);
		dsn[0] = dsn_class(r->status);
		r->dsn = dsn;
	}
	filter(d, r);
	if (r->status != PH_BOUNCED || !d->service->set.soft_bounce || d->probe)
		return false;
	r->status = PH_DEFERRED;
	dsn = ph_arena_strdup(d->arena, r->dsn);
	dsn[0] = '4';
	r->dsn = dsn;
	return true;
}

void ph_result_log(struct ph_delivery *d, size_t i, const char *address, const struct ph_result *r, bool softened)
{
	log_line(d, i, address, r, status_word(d, r->status, softened));
}

/* What is kept of a text has no blanks at its end (the last line end of a command's output); the log shows it as it is. */
const char *ph_result_kept(struct ph_delivery *d, const char *text)
{
	size_t n = strlen(text), all = n;

	while (n > 1 && text[n - 1] == ' ')
		n--;
	return n < all ? ph_arena_strndup(d->arena, text, n) : text;
}

void ph_result_commit(struct ph_delivery *d, size_t i, const struct ph_result *given)
{
	struct ph_result r = *given;

	r.text = ph_result_kept(d, r.text);
	d->rcpts[i].done = true;
	journal(d, i, &r, false);
	frame(d, i, r.status, &r);
}

void ph_result_pass(struct ph_delivery *d, size_t i, const char *address, const char *route)
{
	struct ph_result r = { .dsn = "", .text = address, .relay = route };

	d->rcpts[i].done = true;
	frame(d, i, PH_RESULT_PASS, &r);
}

void ph_result_parts(struct ph_delivery *d, size_t i, const char *parts)
{
	static const struct ph_result r = { PH_DEFERRED, "4.3.0", "none", "passed on to another mail transport" };

	d->rcpts[i].done = true;
	d->mta = NULL;
	d->diag = parts;
	journal(d, i, &r, false);
	frame(d, i, PH_RESULT_PARTS, &r);
	d->diag = NULL;
}

/* One answer for many recipients: all records leave with one write(), before anything is told to anybody, and without a yield in between. */
static void record_many(struct ph_delivery *d, const size_t *which, size_t n, const struct ph_result *given)
{
	size_t *open = ph_arena_alloc(d->arena, (n + 1) * sizeof(*open)), n_open = 0, i;
	struct ph_result r = *given, kept;
	bool softened = ph_result_settle(d, &r);

	kept = r;
	kept.text = ph_result_kept(d, r.text);
	for (i = 0; i < n; i++) {
		if (d->rcpts[which[i]].done)
			continue;       /* the first result stands */
		d->rcpts[which[i]].done = true;
		open[n_open++] = which[i];
		journal(d, which[i], &kept, n > 1);
	}
	if (n > 1)
		journal_end(d);
	for (i = 0; i < n_open; i++) {
		ph_result_log(d, open[i], d->rcpts[open[i]].address, &r, softened);
		frame(d, open[i], kept.status, &kept);
	}
}

void ph_delivery_record(struct ph_delivery *d, size_t i, const struct ph_result *r)
{
	record_many(d, &i, 1, r);
}

/* ---- what modules call -------------------------------------------------------------------- */

/* The text, bounded, without bytes that could break a line of a log or of a notification. */
const char *ph_result_text(struct ph_delivery *d, const char *fmt, va_list ap)
{
	char small[512], *text = small;
	va_list again;
	int n;

	va_copy(again, ap);
	n = vsnprintf(small, sizeof(small), fmt, ap);
	if (n >= (int)sizeof(small)) {
		n = n < PH_RESULT_TEXT_MAX ? n : PH_RESULT_TEXT_MAX;
		text = ph_arena_alloc(d->arena, (size_t)n + 1);
		vsnprintf(text, (size_t)n + 1, fmt, again);
	}
	va_end(again);
	return ph_str_printable(d->arena, text, n < 0 ? 0 : strlen(text), true);
}

void ph_delivery_result(struct ph_delivery *d, size_t i, enum ph_delivery_status status, const char *dsn, const char *relay, const char *fmt, ...)
{
	struct ph_result r = { status, dsn ? dsn : "", relay ? relay : "none", NULL };
	va_list ap;

	ph_assert(d->magic == PH_DELIVERY_MAGIC && i < d->req->n_rcpts);
	if (d->rcpts[i].done)
		return;                 /* the first result stands */
	va_start(ap, fmt);
	r.text = ph_result_text(d, fmt, ap);
	va_end(ap);
	ph_delivery_record(d, i, &r);
}

void ph_delivery_result_some(struct ph_delivery *d, const size_t *which, size_t n, enum ph_delivery_status status, const char *dsn, const char *relay, const char *fmt, ...)
{
	struct ph_result r = { status, dsn ? dsn : "", relay ? relay : "none", NULL };
	va_list ap;
	size_t i;

	ph_assert(d->magic == PH_DELIVERY_MAGIC);
	for (i = 0; i < n; i++)
		ph_assert(which[i] < d->req->n_rcpts);
	va_start(ap, fmt);
	r.text = ph_result_text(d, fmt, ap);
	va_end(ap);
	record_many(d, which, n, &r);
}

void ph_delivery_result_all(struct ph_delivery *d, enum ph_delivery_status status, const char *dsn, const char *relay, const char *fmt, ...)
{
	struct ph_result r = { status, dsn ? dsn : "", relay ? relay : "none", NULL };
	size_t *which, i;
	va_list ap;

	ph_assert(d->magic == PH_DELIVERY_MAGIC);
	va_start(ap, fmt);
	r.text = ph_result_text(d, fmt, ap);
	va_end(ap);
	which = ph_arena_alloc(d->arena, (d->req->n_rcpts + 1) * sizeof(*which));
	for (i = 0; i < d->req->n_rcpts; i++)
		which[i] = i;
	record_many(d, which, d->req->n_rcpts, &r);
}

void ph_delivery_remote(struct ph_delivery *d, const char *mta_name, const char *diagnostic)
{
	size_t n = diagnostic ? strnlen(diagnostic, PH_RESULT_TEXT_MAX) : 0;

	d->mta = mta_name ? ph_str_printable(d->arena, mta_name, strlen(mta_name), true) : NULL;
	d->diag = diagnostic ? ph_str_printable(d->arena, diagnostic, n, true) : NULL;
}

void ph_delivery_dsn_passed(struct ph_delivery *d, bool passed)
{
	d->dsn_passed = passed;
}

void ph_delivery_connected(struct ph_delivery *d)
{
	d->connected_us = ph_wall_us();
}

void ph_delivery_conn_use(struct ph_delivery *d, int n)
{
	d->conn_use = n;
}

void ph_delivery_dest_down(struct ph_delivery *d, const char *dsn, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	d->down_text = ph_result_text(d, fmt, ap);
	va_end(ap);
	d->down_dsn = ph_arena_strdup(d->arena, dsn);
	d->dest_down = true;
}
