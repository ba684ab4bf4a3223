/* notice.c: mail to the postmaster about what went wrong.
 *
 * Owns nothing beyond the call.  Yields in the intake.  Source: postconf(5), notify_classes and error_notice_recipient. */
#include "message/notice.h"

#include "message/header.h"
#include "message/intake.h"
#include "message/received.h"
#include "route/route.h"

#include <errno.h>
#include <string.h>
#include <strings.h>

struct notice_settings { const char *myhostname, *double_bounce, *recipient, *bounce_recipient, *filter_classes, *from_format; };

#define S struct notice_settings
static const struct ph_param notice_params[] = {
	PH_P_STR(S, myhostname, "myhostname", "", "the internet hostname of this mail system"),
	PH_P_STR1(S, double_bounce, "double_bounce_sender", "double-bounce", "sender of notifications that must never bounce"),
	PH_P_STR1(S, recipient, "error_notice_recipient", "postmaster", "recipient of notices about policy, protocol, resource and software trouble"),
	PH_P_STR1(S, bounce_recipient, "bounce_notice_recipient", "postmaster", "recipient of copies of bounces"),
	PH_P_STR(S, filter_classes, "internal_mail_filter_classes", "", "internal mail that passes header and body checks and milters"),
	PH_P_STR(S, from_format, "header_from_format", "standard", "form of a generated From: header: standard or obsolete"),
};
#undef S
PH_SETTINGS_TABLE("notice", notice_params)

unsigned ph_notice_classes(const char *words)
{
	static const struct { const char *word; unsigned bit; } classes[] = {
		{ "policy", PH_NOTICE_POLICY }, { "protocol", PH_NOTICE_PROTOCOL }, { "resource", PH_NOTICE_RESOURCE }, { "software", PH_NOTICE_SOFTWARE },
		{ "bounce", PH_NOTICE_BOUNCE }, { "2bounce", PH_NOTICE_2BOUNCE }, { "delay", PH_NOTICE_DELAY }, { "data", PH_NOTICE_DATA },
	};
	unsigned bits = 0;

	while (*(words += strspn(words, PH_SEP_LIST))) {
		size_t n = strcspn(words, PH_SEP_LIST);

		for (size_t i = 0; i < PH_ARRAY_LEN(classes); i++)
			if (strlen(classes[i].word) == n && strncasecmp(words, classes[i].word, n) == 0)
				bits |= classes[i].bit;
		words += n;
	}
	return bits;
}

#define PIECE_MAX 900                   /* a word that is longer is cut: SMTP's lines are shorter than 1000 */

struct ph_slice ph_notice_piece(const char **text, size_t room)
{
	const char *p = *text;
	size_t n = strlen(p), shown;

	if (n > room) {
		for (n = room; n > 0 && p[n] != ' '; n--)
			;
		if (n == 0)
			n = strcspn(p, " ");
		if (n > PIECE_MAX)
			n = PIECE_MAX;
	}
	for (shown = n; shown > 0 && p[shown - 1] == ' '; shown--)
		;
	*text = p + n + strspn(p + n, " ");
	return (struct ph_slice){ p, shown };
}

void ph_notice_wrap(struct ph_buf *b, const char *prefix, const char *text, size_t width, size_t indent)
{
	size_t pad = 0;

	do {
		struct ph_slice piece = ph_notice_piece(&text, width - pad);

		ph_buf_printf(b, "%s%*s%.*s\n", prefix, (int)pad, "", (int)piece.n, piece.p);
		pad = indent;
	} while (*text);
}

static void put(struct ph_intake *in, struct ph_arena *arena, const char *text)
{
	while (*text) {
		size_t n = strcspn(text, "\n");
		const char *clean = ph_str_printable(arena, text, n, true);

		ph_intake_line(in, clean, strlen(clean), false);
		text += n + (text[n] == '\n');
	}
}

int ph_notice_send(const struct ph_conf *conf, unsigned classes, const char *subject, const char *text, struct ph_arena *arena, struct ph_err *err)
{
	struct ph_intake_params p = {
		.conf = ph_intake_conf_of(conf), .prog = "notice", .origin = "local", .local_origin = true,
		.flags = PH_INTAKE_BOUNCE | PH_INTAKE_NO_BCC, .arena = arena,
	};
	struct notice_settings set;
	struct ph_intake *in;
	struct ph_verdict v;
	char date[64];
	int r = ph_conf_settings(conf, notice_params, PH_ARRAY_LEN(notice_params), &set, err);
	bool obsolete;

	if (r < 0)
		return r;
	if (!ph_header_in_list(set.filter_classes, "notify", 6))
		p.flags |= PH_INTAKE_NO_CHECKS | PH_INTAKE_NO_MILTERS;
	r = ph_intake_begin(&p, &in, err);
	if (r < 0)
		return r;
	obsolete = ph_str_ieq(set.from_format, "obsolete");
	ph_intake_attr(in, "log_message_origin", "local");
	ph_intake_sender(in, ph_arena_printf(arena, "%s@%s", set.double_bounce, set.myhostname), NULL, NULL, "", PH_ENV_BOUNCE);
	ph_intake_rcpt(in, classes & PH_NOTICE_BOUNCE ? set.bounce_recipient : set.recipient, NULL, 0);
	ph_intake_prepend(in, ph_received_local(conf, ph_intake_queue_id(in), -1, arena));
	put(in, arena, ph_arena_printf(arena, "Date: %s\nFrom: %s\nTo: %s\nSubject: %s\n", ph_header_date(ph_wall_us(), date, sizeof(date)),
		obsolete ? ph_arena_printf(arena, "MAILER-DAEMON@%s (Mail Delivery System)", set.myhostname) :
			   ph_arena_printf(arena, "Mail Delivery System <MAILER-DAEMON@%s>", set.myhostname),
		ph_arena_printf(arena, obsolete ? "%s (Postmaster)" : "Postmaster <%s>", ph_address_quote(arena, set.recipient)),
		ph_str_printable(arena, subject, strlen(subject), true)));
	ph_intake_line(in, "", 0, false);
	put(in, arena, text);
	v = ph_intake_end(&in, NULL);
	return v.cls == PH_PERMIT ? 0 : ph_err_set(err, -EAGAIN, "notice to %s was not accepted: %d %s", set.recipient, v.code, v.text ? v.text : "");
}
