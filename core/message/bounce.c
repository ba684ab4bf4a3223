/* bounce.c: build and submit one notification.
 *
 * Owns nothing beyond the call.  Yields in the intake.  The original's content is read from its file with plain reads, at most
 * bounce_size_limit bytes.  RFC 3464, RFC 3461, RFC 6533, RFC 3834 section 5. */
#include "message/bounce.h"

#include "config/config.h"
#include "message/bounce_template.h"
#include "message/header.h"
#include "message/intake.h"
#include "message/notice.h"
#include "message/received.h"
#include "route/route.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/random.h>

#define WIDTH 79
#define PIECE 8192

struct bounce_settings { const char *myhostname, *mail_name, *double_bounce, *from_format, *filter_classes; int64_t size_limit; bool smtputf8, threaded, redact; };

#define S struct bounce_settings
static const struct ph_param bounce_params[] = {
	PH_P_STR(S, myhostname, "myhostname", "", "the internet hostname of this mail system"),
	PH_P_STR(S, mail_name, "mail_name", "Posthouse", "the mail system name in Received: headers, the greeting and bounces"),
	PH_P_STR1(S, double_bounce, "double_bounce_sender", "double-bounce", "sender of notifications that must never bounce"),
	PH_P_STR(S, from_format, "header_from_format", "standard", "form of a generated From: header: standard or obsolete"),
	PH_P_STR(S, filter_classes, "internal_mail_filter_classes", "", "internal mail that passes header and body checks and milters"),
	PH_P_LONG(S, size_limit, "bounce_size_limit", "50000", 1, 0, "bytes of the original message that are returned"),
	PH_P_BOOL(S, redact, "requiretls_redact_dsn", "yes", "a notification about mail with REQUIRETLS goes without, and has no content"),
	PH_P_BOOL(S, smtputf8, "smtputf8_enable", "${{$compatibility_level} <level {1} ? {no} : {yes}}", "support internationalised addresses"),
	PH_P_BOOL(S, threaded, "enable_threaded_bounces", "no", "put References: and In-Reply-To: into notifications"),
};
#undef S
PH_SETTINGS_TABLE("bounce", bounce_params)
/* Read by name, where they are used. */
static const struct ph_param bounce_raw_params[] = {
	{ "bounce_template_file", PH_PARAM_STR, "", 0, 0, 0, 0, "file with the texts of notifications" },
};
PH_SETTINGS_TABLE("bounce", bounce_raw_params)

struct job {
	const struct ph_bounce_request *r;
	struct bounce_settings set;
	struct ph_intake *in;
	struct ph_stored *orig;
	char boundary[256];
	bool utf8;                      /* SMTPUTF8: the message/global forms */
	bool eight;                     /* the notification is declared as 8-bit text */
	const char *message_id;         /* of the original, for threading */
};

static int line(struct job *j, const char *fmt, ...) PH_PRINTF(2, 3);
static int line(struct job *j, const char *fmt, ...)
{
	struct ph_buf b = PH_BUF_INIT(65536);
	va_list ap;
	int r;

	va_start(ap, fmt);
	r = ph_buf_vprintf(&b, fmt, ap);
	va_end(ap);
	if (r == 0)
		r = ph_intake_line(j->in, ph_buf_str(&b), b.len, false);
	ph_buf_done(&b);
	return r;
}

/* Text of several lines, as they are. */
static void lines(struct job *j, const char *text)
{
	while (*text) {
		size_t n = strcspn(text, "\n");

		ph_intake_line(j->in, text, n, false);
		text += n + (text[n] == '\n');
	}
}

/* Fold at blanks; further lines are indented.  What servers said must not begin a line of its own choice. */
static void folded(struct job *j, const char *text)
{
	const char *p = ph_str_printable(j->r->arena, text, strlen(text), j->utf8);
	const char *indent = "";

	do {
		struct ph_slice piece = ph_notice_piece(&p, WIDTH - strlen(indent));

		line(j, "%s%.*s", indent, (int)piece.n, piece.p);
		indent = "    ";
	} while (*p);
}

/* External form; bytes that have no place in a header are shown as "?". */
static const char *shown(struct job *j, const char *address)
{
	const char *q = ph_address_quote(j->r->arena, address);

	return ph_str_printable(j->r->arena, q, strlen(q), j->utf8);
}

static const char *daemon_address(struct job *j)
{
	return ph_arena_printf(j->r->arena, "MAILER-DAEMON@%s", j->set.myhostname);
}

/* "MAILER-DAEMON (Mail Delivery System)" -> as header_from_format has it. */
static void put_from(struct job *j, const struct ph_bounce_template *t)
{
	const char *from = t->from, *open = strchr(from, '('), *close = strrchr(from, ')'), *lt = strchr(from, '<');
	size_t n = strcspn(from, " (");
	const char *addr = ph_arena_strndup(j->r->arena, from, n);

	if (!t->builtin || lt || !open || !close || close < open) {     /* clean-up completes the address */
		line(j, "From: %s", from);
		return;
	}
	if (!strchr(addr, '@'))
		addr = ph_arena_printf(j->r->arena, "%s@%s", addr, ph_conf_get(j->r->conf, "myorigin"));
	if (ph_str_ieq(j->set.from_format, "obsolete"))
		line(j, "From: %s %.*s", addr, (int)(close + 1 - open), open);
	else
		line(j, "From: %.*s <%s>", (int)(close - open - 1), open + 1, addr);
}

static void put_encoding(struct job *j)
{
	if (j->eight)
		line(j, "Content-Transfer-Encoding: 8bit");
}

static void put_headers(struct job *j, const struct ph_bounce_template *t)
{
	const struct ph_bounce_request *r = j->r;
	const char *subject = r->postmaster && t->postmaster_subject ? t->postmaster_subject : t->subject;
	char date[64];

	line(j, "Date: %s", ph_header_date(ph_wall_us(), date, sizeof(date)));
	put_from(j, t);
	line(j, "Subject: %s", subject);
	line(j, "To: %s", shown(j, r->to));
	if (j->set.threaded && j->message_id) {
		line(j, "References: %s", j->message_id);
		line(j, "In-Reply-To: %s", j->message_id);
	}
	line(j, "Auto-Submitted: %s", r->postmaster ? "auto-generated" : "auto-replied");
	if (r->env->flags & PH_ENV_TLS_OPTIONAL)
		line(j, "TLS-Required: no");
	line(j, "MIME-Version: 1.0");
	line(j, "Content-Type: multipart/report; report-type=delivery-status;");
	line(j, "\tboundary=\"%s\"", j->boundary);
	put_encoding(j);
	line(j, "%s", "");
	line(j, "This is a MIME-encapsulated message.");
	line(j, "%s", "");
}

/* What the recipient was before it was expanded; NULL: not known, or not to be told. */
static const char *original_of(const struct ph_bounce_rcpt *b, const struct ph_rcpt *rc)
{
	return !b->anonymous && rc->original && *rc->original ? rc->original : NULL;
}

static void put_notification(struct job *j, const struct ph_bounce_template *t)
{
	const struct ph_bounce_request *r = j->r;

	line(j, "--%s", j->boundary);
	line(j, "Content-Description: Notification");
	line(j, "Content-Type: text/plain; charset=%s", j->eight && ph_str_ieq(t->charset, "us-ascii") ? "utf-8" : t->charset);
	put_encoding(j);
	line(j, "%s", "");
	if (!r->postmaster)
		lines(j, ph_bounce_template_text(r->conf, r->arena, t));
	for (size_t i = 0; i < r->n_rcpts; i++) {
		const struct ph_bounce_rcpt *b = &r->rcpts[i];
		const struct ph_rcpt *rc = &r->env->rcpts[b->index];
		const char *address = b->address ? b->address : rc->address, *orig = original_of(b, rc);

		line(j, "%s", "");
		folded(j, orig && !ph_str_ieq(orig, address)
			? ph_arena_printf(r->arena, "<%s> (expanded from <%s>): %s", shown(j, address), shown(j, orig), b->text)
			: ph_arena_printf(r->arena, "<%s>: %s", shown(j, address), b->text));
	}
}

static const char *action_of(const struct ph_bounce_request *r, const struct ph_bounce_rcpt *b)
{
	if (b->action)
		return b->action;
	if (r->env->flags & PH_ENV_TRACE_ONLY)
		return b->status == PH_SENT ? "deliverable" : "undeliverable";
	switch (b->status) {
	case PH_SENT:
		return "delivered";
	case PH_DEFERRED:
		return r->kind == PH_BOUNCE_FAILURE ? "failed" : "delayed";
	case PH_BOUNCED:
		break;
	}
	return "failed";
}

static void put_address(struct job *j, const char *field, const char *address)
{
	line(j, "%s: %s; %s", field, j->utf8 && !ph_str_ascii(address) ? "utf-8" : "rfc822", shown(j, address));
}

static void put_recipient(struct job *j, const struct ph_bounce_rcpt *b)
{
	const struct ph_bounce_request *r = j->r;
	const struct ph_rcpt *rc = &r->env->rcpts[b->index];
	char date[64];

	line(j, "%s", "");
	put_address(j, "Final-Recipient", b->address ? b->address : rc->address);
	if (rc->dsn_orcpt && *rc->dsn_orcpt && !b->anonymous)
		line(j, "Original-Recipient: %s", ph_str_printable(r->arena, rc->dsn_orcpt, strlen(rc->dsn_orcpt), j->utf8));
	else if (original_of(b, rc))
		line(j, "Original-Recipient: %s;%s", j->utf8 && !ph_str_ascii(rc->original) ? "utf-8" : "rfc822", shown(j, rc->original));
	line(j, "Action: %s", action_of(r, b));
	line(j, "Status: %s", b->dsn);
	if (b->mta && *b->mta)
		line(j, "Remote-MTA: dns; %s", ph_str_printable(r->arena, b->mta, strlen(b->mta), false));
	if (b->diag && *b->diag)
		folded(j, ph_arena_printf(r->arena, "Diagnostic-Code: %s", b->diag));
	else
		folded(j, ph_arena_printf(r->arena, "Diagnostic-Code: X-%s; %s", j->set.mail_name, b->text));
	if (r->kind == PH_BOUNCE_DELAY && r->expires_us)
		line(j, "Will-Retry-Until: %s", ph_header_date(r->expires_us, date, sizeof(date)));
}

static const char *sender_of(struct job *j)
{
	return *j->r->env->sender ? j->r->env->sender : daemon_address(j);
}

static void put_status(struct job *j)
{
	const struct ph_bounce_request *r = j->r;
	char date[64];

	line(j, "%s", "");
	line(j, "--%s", j->boundary);
	line(j, "Content-Description: Delivery report");
	line(j, "Content-Type: message/%s", j->utf8 ? "global-delivery-status" : "delivery-status");
	if (j->utf8)
		line(j, "Content-Transfer-Encoding: 8bit");
	line(j, "%s", "");
	line(j, "Reporting-MTA: dns; %s", j->set.myhostname);
	if (r->env->envid && *r->env->envid)
		line(j, "Original-Envelope-Id: %s", ph_str_printable(r->arena, r->env->envid, strlen(r->env->envid), false));
	line(j, "X-%s-Queue-ID: %s", j->set.mail_name, r->ref->queue_id);
	put_address(j, ph_arena_printf(r->arena, "X-%s-Sender", j->set.mail_name), sender_of(j));
	line(j, "Arrival-Date: %s", ph_header_date(r->env->arrival_us, date, sizeof(date)));
	for (size_t i = 0; i < r->n_rcpts; i++)
		put_recipient(j, &r->rcpts[i]);
}

/* The original, line by line.  fn: negative to stop. */
static int each_line(struct job *j, int (*fn)(struct job *j, const char *p, size_t n, bool cont))
{
	char *buf = ph_alloc(PIECE);
	int64_t at = 0;
	size_t have = 0;
	int r = 0;

	while (r >= 0) {
		ssize_t got = ph_stored_read(j->orig, at, buf + have, PIECE - have);
		char *p = buf, *nl;

		if (got < 0)
			r = (int)got;
		if (got <= 0)
			break;
		at += got;
		have += (size_t)got;
		while (r >= 0 && (nl = memchr(p, '\n', have - (size_t)(p - buf)))) {
			r = fn(j, p, (size_t)(nl - p), false);
			p = nl + 1;
		}
		have -= (size_t)(p - buf);
		memmove(buf, p, have);
		if (r >= 0 && have == PIECE) {
			r = fn(j, buf, have, true);
			have = 0;
		}
	}
	if (r >= 0 && have)
		r = fn(j, buf, have, false);
	free(buf);
	return r == -ECANCELED ? 0 : r;
}

static int copy_line(struct job *j, const char *p, size_t n, bool cont)
{
	return ph_intake_line(j->in, p, n, cont);
}

static int copy_header(struct job *j, const char *p, size_t n, bool cont)
{
	if (n == 0)
		return -ECANCELED;              /* the end of the headers: enough */
	return ph_intake_line(j->in, p, n, cont);
}

static int find_ids(struct job *j, const char *p, size_t n, bool cont)
{
	size_t value = ph_header_value(p, n);

	if (n == 0)
		return -ECANCELED;
	if (n > 11 && strncasecmp(p, "Message-Id:", 11) == 0 && !j->message_id)
		j->message_id = ph_str_printable(j->r->arena, p + value, n - value, false);
	return cont ? -ECANCELED : 0;
}

static int put_original(struct job *j)
{
	const struct ph_bounce_request *r = j->r;
	bool full = r->full && !(j->set.redact && (r->env->flags & PH_ENV_REQUIRETLS)) && r->env->content_bytes <= j->set.size_limit;
	const char *undelivered = r->kind == PH_BOUNCE_SUCCESS || r->kind == PH_BOUNCE_TRACE ? "" : "Undelivered ";
	int res;

	line(j, "%s", "");
	line(j, "--%s", j->boundary);
	line(j, "Content-Description: %sMessage%s", undelivered, full ? "" : " Headers");
	if (full)
		line(j, "Content-Type: message/%s", j->utf8 ? "global" : "rfc822");
	else
		line(j, "Content-Type: %s", j->utf8 ? "message/global-headers" : "text/rfc822-headers");
	put_encoding(j);
	line(j, "%s", "");
	line(j, "Return-Path: <%s>", shown(j, sender_of(j)));
	res = each_line(j, full ? copy_line : copy_header);
	line(j, "%s", "");
	line(j, "--%s--", j->boundary);
	return res;
}

static const char *what(const struct ph_bounce_request *r)
{
	switch (r->kind) {
	case PH_BOUNCE_FAILURE:
		return "non-delivery";
	case PH_BOUNCE_DELAY:
		return "delay";
	case PH_BOUNCE_SUCCESS:
	case PH_BOUNCE_TRACE:
		break;
	}
	return "delivery status";
}

/* In Postfix's shape, but the number is no time: nobody who writes a message can foresee it, and so nobody can close our parts. */
static void make_boundary(struct job *j)
{
	uint64_t rnd = 0;

	if (getrandom(&rnd, sizeof(rnd), 0) != sizeof(rnd))
		rnd = (uint64_t)ph_wall_us();
	snprintf(j->boundary, sizeof(j->boundary), "%s.%011llu/%.100s", j->r->ref->queue_id, (unsigned long long)(rnd % 100000000000),
		 j->set.myhostname);
}

static int begin(struct job *j, struct ph_err *err)
{
	const struct ph_bounce_request *r = j->r;
	struct ph_intake_params p = {
		.conf = ph_intake_conf_of(r->conf), .prog = "bounce", .origin = "local", .local_origin = true,
		.flags = PH_INTAKE_BOUNCE | PH_INTAKE_NO_BCC, .arena = r->arena,
	};
	const char *sender = r->postmaster ? ph_arena_printf(r->arena, "%s@%s", j->set.double_bounce, j->set.myhostname) : "";
	uint32_t flags = PH_ENV_BOUNCE | (j->utf8 ? PH_ENV_SMTPUTF8 : 0) | (j->set.redact ? 0 : r->env->flags & PH_ENV_REQUIRETLS);
	int res;

	if (!ph_header_in_list(j->set.filter_classes, "bounce", 6))
		p.flags |= PH_INTAKE_NO_CHECKS | PH_INTAKE_NO_MILTERS;
	res = ph_intake_begin(&p, &j->in, err);
	if (res < 0)
		return res;
	ph_intake_attr(j->in, "log_message_origin", "local");
	for (size_t i = 0; i < r->n_attrs; i++)
		ph_intake_attr(j->in, r->attr_names[i], r->attr_values[i]);
	ph_intake_sender(j->in, sender, NULL, NULL, j->eight ? "8bit" : "", flags);
	ph_intake_rcpt(j->in, r->to, NULL, 0);
	ph_intake_prepend(j->in, ph_received_local(r->conf, ph_intake_queue_id(j->in), -1, r->arena));
	return 0;
}

int ph_bounce_send(const struct ph_bounce_request *req, struct ph_err *err)
{
	const struct ph_bounce_template *t = ph_bounce_template(req->conf, req->kind);
	struct job j = { .r = req, .utf8 = req->env->flags & PH_ENV_SMTPUTF8 };
	struct ph_verdict v;
	int r = ph_conf_settings(req->conf, bounce_params, PH_ARRAY_LEN(bounce_params), &j.set, err);

	if (r < 0)
		return r;
	r = ph_stored_open(req->queue_dirfd, req->ref, req->arena, &j.orig, err);
	if (r < 0)
		return r;
	j.eight = j.set.smtputf8 || (req->env->flags & (PH_ENV_8BIT | PH_ENV_SMTPUTF8)) || strcmp(req->env->encoding, "8bit") == 0;
	make_boundary(&j);
	if (j.set.threaded)
		each_line(&j, find_ids);
	r = begin(&j, err);
	if (r < 0)
		return r;
	snprintf(req->ret_queue_id, PH_QUEUE_ID_MAX, "%s", ph_intake_queue_id(j.in));
	put_headers(&j, t);
	put_notification(&j, t);
	put_status(&j);
	r = put_original(&j);
	if (r < 0) {
		ph_intake_abort(&j.in);
		return ph_err_errno(err, r, "%s: cannot read the message to be returned", req->ref->queue_id);
	}
	v = ph_intake_end(&j.in, NULL);
	if (v.cls != PH_PERMIT)
		return ph_err_set(err, -EAGAIN, "%s: notification to %s was not accepted: %d %s", req->ref->queue_id, req->to, v.code, v.text);
	ph_log_as("bounce", PH_LOG_INFO, "%s: %s %s notification: %s", req->ref->queue_id, req->postmaster ? "postmaster" : "sender", what(req),
		  req->ret_queue_id);
	return 0;
}
