/* Notifications, held against those of a running bounce(8). */
#include "intake_stub.h"
#include "tap.h"

#include "base/loop.h"
#include "config/config.h"
#include "message/bounce.h"

static struct ph_arena *arena;
static struct ph_config *config;

static const char original[] =
	"Received: by mail.here.test (Postfix, from userid 0)\n\tid CB1F1A7201D; Tue, 24 Nov 2026 00:37:24 +0000 (UTC)\n"
	"Subject: orig\nTo: x@bounce.test, y@bounce.test\nX-Long: a\n b\nMessage-Id: <orig@x>\nDate: Tue, 24 Nov 2026 00:37:24 +0000 (UTC)\n"
	"From: root <sender@out.test>\n\nbody text\n8bit \xc3\xa9\n";

int __wrap_ph_stored_open(int queue_dirfd, const struct ph_msg_ref *ref, struct ph_arena *a, struct ph_stored **ret, struct ph_err *err)
{
	*ret = ph_arena_alloc(a, sizeof(**ret));
	return 0;
}


ssize_t __wrap_ph_stored_read(struct ph_stored *m, int64_t offset, void *buf, size_t n)
{
	size_t left = (size_t)offset < sizeof(original) - 1 ? sizeof(original) - 1 - (size_t)offset : 0;

	n = n < left ? n : left;
	n = n < 50 ? n : 50;            /* in small pieces */
	memcpy(buf, original + offset, n);
	return (ssize_t)n;
}

static const char long_text[] = "no such thing with \"quotes\" and a very long text that certainly goes beyond seventy nine columns so that it must be folded somewhere";

static struct ph_rcpt rcpts[] = {
	{ .address = "x@bounce.test", .original = "a@va.test", .dsn_orcpt = "rfc822;a@va.test" },
	{ .address = "x@remote.test", .original = "x@remote.test", .dsn_orcpt = "rfc822;x@remote.test" },
};
static struct ph_envelope env = { .arrival_us = 1795480644000000, .content_bytes = sizeof(original) - 1, .sender = "sender@out.test", .encoding = "", .n_rcpts = 2, .rcpts = rcpts };
static struct ph_msg_ref ref = { .queue_id = "CB1F1A7201D" };

/* The boundary and the stamps of the notification itself differ. */
static const char *steady(const char *text)
{
	struct ph_buf b = PH_BUF_INIT(1 << 20);
	const char *start = strstr(text, "boundary=\"") + 10, *out;
	size_t k = strcspn(start, "\"");
	char bound[300];
	int line = 0;

	snprintf(bound, sizeof(bound), "%.*s", (int)k, start);
	while (*text) {
		size_t n = strcspn(text, "\n");
		const char *at = memmem(text, n, bound, strlen(bound));

		line++;
		if (line == 2)
			ph_buf_puts(&b, "\tid ID");
		else if (line == 3)
			ph_buf_puts(&b, "Date: D");
		else if (strncmp(text, "Message-Id: <2", 14) == 0)
			ph_buf_puts(&b, "Message-Id: M");
		else if (at)
			ph_buf_printf(&b, "%.*sBOUNDARY%.*s", (int)(at - text), text, (int)(text + n - at - (ptrdiff_t)strlen(bound)), at + strlen(bound));
		else
			ph_buf_append(&b, text, n);
		ph_buf_putc(&b, '\n');
		text += n + (text[n] == '\n');
	}
	out = ph_arena_strdup(arena, ph_buf_str(&b));
	ph_buf_done(&b);
	return out;
}

#define HEAD(subject, to, auto_) "Received: by mail.here.test (Postfix)\n\tid ID\nDate: D\nFrom: Mail Delivery System <MAILER-DAEMON@mail.here.test>\n" \
	"Subject: " subject "\nTo: " to "\nAuto-Submitted: " auto_ "\nMIME-Version: 1.0\nContent-Type: multipart/report; report-type=delivery-status;\n" \
	"\tboundary=\"BOUNDARY\"\nContent-Transfer-Encoding: 8bit\nMessage-Id: M\n\nThis is a MIME-encapsulated message.\n\n--BOUNDARY\n" \
	"Content-Description: Notification\nContent-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: 8bit\n\n"
#define HOST "This is the mail system at host mail.here.test.\n\n"
#define SORRY "I'm sorry to have to inform you that your message could not\nbe delivered to one or more recipients. It's attached below.\n\n"
#define HELP "For further assistance, please send mail to postmaster.\n\nIf you do so, please include this problem report. You can\n" \
	"delete your own text from the attached returned message.\n\n                   The mail system\n"
#define TEXTS "\n<x@bounce.test> (expanded from <a@va.test>): no such thing with \"quotes\" and a\n    very long text that certainly goes beyond seventy nine columns so that it\n" \
	"    must be folded somewhere\n\n<x@remote.test>: host 127.0.0.1[127.0.0.1] said: 550-5.7.1 first line 550 5.7.1\n    second line (in reply to RCPT TO command)\n\n"
#define STATUS(sender) "--BOUNDARY\nContent-Description: Delivery report\nContent-Type: message/delivery-status\n\nReporting-MTA: dns; mail.here.test\n" \
	"X-Postfix-Queue-ID: CB1F1A7201D\nX-Postfix-Sender: rfc822; " sender "\nArrival-Date: Tue, 24 Nov 2026 00:37:24 +0000 (UTC)\n\n"
#define RCPTS "Final-Recipient: rfc822; x@bounce.test\nOriginal-Recipient: rfc822;a@va.test\nAction: failed\nStatus: 5.2.0\n" \
	"Diagnostic-Code: X-Postfix; no such thing with \"quotes\" and a very long text\n    that certainly goes beyond seventy nine columns so that it must be folded\n" \
	"    somewhere\n\nFinal-Recipient: rfc822; x@remote.test\nOriginal-Recipient: rfc822;x@remote.test\nAction: failed\nStatus: 5.7.1\n" \
	"Remote-MTA: dns; 127.0.0.1\nDiagnostic-Code: smtp; 550-5.7.1 first line 550 5.7.1 second line\n\n"
#define ORIG_HEADERS "Received: by mail.here.test (Postfix, from userid 0)\n\tid CB1F1A7201D; Tue, 24 Nov 2026 00:37:24 +0000 (UTC)\n" \
	"Subject: orig\nTo: x@bounce.test, y@bounce.test\nX-Long: a\n b\nMessage-Id: <orig@x>\nDate: Tue, 24 Nov 2026 00:37:24 +0000 (UTC)\n" \
	"From: root <sender@out.test>\n\n"
#define FULL(sender) "--BOUNDARY\nContent-Description: Undelivered Message\nContent-Type: message/rfc822\nContent-Transfer-Encoding: 8bit\n\nReturn-Path: <" sender ">\n" \
	ORIG_HEADERS "body text\n8bit \xc3\xa9\n\n--BOUNDARY--\n"
#define ONLY_HEADERS(what) "--BOUNDARY\nContent-Description: " what "Message Headers\nContent-Type: text/rfc822-headers\nContent-Transfer-Encoding: 8bit\n\nReturn-Path: <sender@out.test>\n" \
	ORIG_HEADERS "--BOUNDARY--\n"

static const struct ph_bounce_rcpt failed[] = {
	{ .index = 0, .status = PH_BOUNCED, .dsn = "5.2.0", .text = long_text },
	{ .index = 1, .status = PH_BOUNCED, .dsn = "5.7.1", .text = "host 127.0.0.1[127.0.0.1] said: 550-5.7.1 first line 550 5.7.1 second line (in reply to RCPT TO command)",
	  .mta = "127.0.0.1", .diag = "smtp; 550-5.7.1 first line 550 5.7.1 second line" },
};

static char new_id[PH_QUEUE_ID_MAX];

static struct ph_bounce_request request(enum ph_bounce_kind kind, const char *to)
{
	return (struct ph_bounce_request){ .kind = kind, .conf = ph_config_main(config), .env = &env, .ref = &ref, .to = to, .full = true,
		.n_rcpts = 2, .rcpts = failed, .arena = arena, .ret_queue_id = new_id };
}

static void send_it(const struct ph_bounce_request *r, const char *want, const char *want_env, const char *name)
{
	struct ph_err err = { 0 };
	int res;

	ph_buf_clear(&got_log);
	res = ph_bounce_send(r, &err);
	tap_ok(res == 0, "%s: sent %s", name, err.text);
	if (res == 0) {
		tap_is(steady(got_content), want, name);
		tap_is(ph_buf_str(&got_env), want_env, name);
	}
}

static void test_kinds(void)
{
	struct ph_bounce_request r = request(PH_BOUNCE_FAILURE, "sender@out.test");
	static const struct ph_bounce_rcpt delayed = { .index = 1, .status = PH_DEFERRED, .dsn = "4.3.3", .text = "wait" };
	static const struct ph_bounce_rcpt sent = { .index = 1, .status = PH_SENT, .dsn = "2.0.0", .text = "fine" };

	send_it(&r, HEAD("Undelivered Mail Returned to Sender", "sender@out.test", "auto-replied") HOST SORRY HELP TEXTS STATUS("sender@out.test") RCPTS FULL("sender@out.test"),
		"|sender@out.test", "failure");
	tap_is(strstr(ph_buf_str(&got_log), "bounce: "), ph_arena_printf(arena, "bounce: CB1F1A7201D: sender non-delivery notification: %s\n", new_id), "is logged");
	r.postmaster = true;
	r.full = false;
	r.to = "postmaster";
	send_it(&r, HEAD("Postmaster Copy: Undelivered Mail", "postmaster@mail.here.test", "auto-generated") TEXTS STATUS("sender@out.test") RCPTS ONLY_HEADERS("Undelivered "),
		"double-bounce@mail.here.test|postmaster@mail.here.test(postmaster)", "postmaster copy");
	env.sender = "";
	r.full = true;
	send_it(&r, HEAD("Postmaster Copy: Undelivered Mail", "postmaster@mail.here.test", "auto-generated") TEXTS STATUS("MAILER-DAEMON@mail.here.test") RCPTS FULL("MAILER-DAEMON@mail.here.test"),
		"double-bounce@mail.here.test|postmaster@mail.here.test(postmaster)", "double bounce");
	env.sender = "sender@out.test";
	r = request(PH_BOUNCE_DELAY, "sender@out.test");
	r.full = false;
	r.n_rcpts = 1;
	r.rcpts = &delayed;
	r.expires_us = 1795912644000000;
	send_it(&r, HEAD("Delayed Mail (still being retried)", "sender@out.test", "auto-replied") HOST
		"####################################################################\n# THIS IS A WARNING ONLY.  YOU DO NOT NEED TO RESEND YOUR MESSAGE. #\n"
		"####################################################################\n\nYour message could not be delivered for more than 4 hour(s).\n"
		"It will be retried until it is 5 day(s) old.\n\n" HELP "\n<x@remote.test>: wait\n\n" STATUS("sender@out.test")
		"Final-Recipient: rfc822; x@remote.test\nOriginal-Recipient: rfc822;x@remote.test\nAction: delayed\nStatus: 4.3.3\nDiagnostic-Code: X-Postfix; wait\n"
		"Will-Retry-Until: Sun, 29 Nov 2026 00:37:24 +0000 (UTC)\n\n" ONLY_HEADERS("Undelivered "), "|sender@out.test", "delay");
	r = request(PH_BOUNCE_SUCCESS, "sender@out.test");
	r.full = false;
	r.n_rcpts = 1;
	r.rcpts = &sent;
	send_it(&r, HEAD("Successful Mail Delivery Report", "sender@out.test", "auto-replied") HOST
		"Your message was successfully delivered to the destination(s)\nlisted below. If the message was delivered to mailbox you will\n"
		"receive no further notifications. Otherwise you may still receive\nnotifications of mail delivery errors from other systems.\n\n"
		"                   The mail system\n\n<x@remote.test>: fine\n\n" STATUS("sender@out.test")
		"Final-Recipient: rfc822; x@remote.test\nOriginal-Recipient: rfc822;x@remote.test\nAction: delivered\nStatus: 2.0.0\nDiagnostic-Code: X-Postfix; fine\n\n"
		ONLY_HEADERS(""), "|sender@out.test", "success");
}

static void test_hostile(void)
{
	static const struct ph_bounce_rcpt bad = { .index = 0, .status = PH_BOUNCED, .dsn = "5.0.0", .text = "line one\r\nFinal-Recipient: rfc822; evil@x\n\n--CB1F1A7201D", .mta = "a\nb" };
	struct ph_bounce_request r = request(PH_BOUNCE_FAILURE, "s@out.test");
	struct ph_err err;

	r.n_rcpts = 1;
	r.rcpts = &bad;
	env.envid = "id\nX-Evil: 1";
	tap_ok(ph_bounce_send(&r, &err) == 0, "hostile text");
	tap_ok(!strstr(got_content, "\nFinal-Recipient: rfc822; evil") && !strstr(got_content, "\nX-Evil") && strstr(got_content, "Remote-MTA: dns; a?b\n"),
	       "no line of its own");
	env.envid = "env+id";
	env.flags = PH_ENV_SMTPUTF8;
	env.sender = "s\xc3\xbc@out.test";
	rcpts[0].address = "\xc3\xbc@remote.test";
	tap_ok(ph_bounce_send(&r, &err) == 0 && strstr(got_content, "Final-Recipient: utf-8; \xc3\xbc@remote.test\n") && strstr(got_content, "X-Postfix-Sender: utf-8; s\xc3\xbc@out.test\n") &&
	       strstr(got_content, "message/global-delivery-status") && strstr(got_content, "message/global\n") && strstr(got_content, "Original-Envelope-Id: env+id\n"), "SMTPUTF8");
	env.flags = 0;
	env.content_bytes = 1000000;
	tap_ok(ph_bounce_send(&r, &err) == 0 && strstr(got_content, "text/rfc822-headers"), "more than bounce_size_limit: headers only");
	commit_result = -EIO;
	tap_ok(ph_bounce_send(&r, &err) < 0, "the store fails: so does the notification: %s", err.text);
}

static void run(void *arg)
{
	test_kinds();
	test_hostile();
}

int main(void)
{
	struct ph_err err;

	setenv("TZ", "UTC", 1);
	if (!freopen("/dev/null", "w+", stderr) ||
	    ph_config_parse("mail_name = Postfix\nmyhostname = mail.here.test\nmydomain = here.test\nlocal_recipient_maps =\nmydestination = mail.here.test\n"
			    "inet_interfaces = loopback-only\ndelay_warning_time = 4h\nsmtputf8_enable = yes\n", "", &config, &err) < 0)
		return 1;
	arena = ph_arena_new();
	ph_run_blocking(run, NULL);
	ph_arena_free(&arena);
	ph_config_free(&config);
	return tap_done();
}
