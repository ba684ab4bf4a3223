/* The intake: clean-up of content held against a running cleanup(8); envelope, checks, filters and failures. */
#include "intake_stub.h"
#include "intake_cases.h"
#include "mapfile.h"
#include "tap.h"

#include "base/loop.h"
#include "config/config.h"
#include "message/encoded_word.h"
#include "module/loader.h"

static struct ph_arena *arena;

static const char base_cf[] = "mail_name = Postfix\nlocal_recipient_maps =\nmyhostname = mail.here.test\nmydomain = here.test\ncompatibility_level = 3.6\n"
	"mydestination = here.test, mail.here.test\ninet_interfaces = loopback-only\nrecipient_delimiter = +\n";

static struct ph_config *configs[200];
static size_t n_configs;

static const struct ph_conf *conf_of(const char *more)
{
	struct ph_config *c = NULL;
	struct ph_err err = { 0 };
	char *text = ph_arena_printf(arena, "%s%s", base_cf, more);

	if (ph_config_parse(text, "", &c, &err) < 0)
		printf("Bail out! %s\n", err.text);
	configs[n_configs++] = c;
	return ph_config_main(c);
}

/* Stamps differ from run to run. */
static const char *steady(const char *text)
{
	static const struct { const char *begin, *end; } stamps[] = {
		{ "Message-Id: <2", "" }, { "Resent-Message-Id: <2", "" }, { "Date: ", " +0000 (UTC)" }, { "Resent-Date: ", " +0000 (UTC)" }
	};
	struct ph_buf b = PH_BUF_INIT(1 << 20);
	const char *out;

	while (text && *text) {
		size_t n = strcspn(text, "\n"), k = n;

		for (size_t i = 0; i < PH_ARRAY_LEN(stamps); i++) {
			size_t begin = strlen(stamps[i].begin), end = strlen(stamps[i].end);

			if (n >= begin + end && strncmp(text, stamps[i].begin, begin) == 0 && strncmp(text + n - end, stamps[i].end, end) == 0)
				k = begin;
		}
		ph_buf_append(&b, text, k);
		ph_buf_puts(&b, "\n");
		text += n + (text[n] == '\n');
	}
	out = ph_arena_strdup(arena, ph_buf_str(&b));
	ph_buf_done(&b);
	return out;
}

static void test_content(void)
{
	const struct ph_conf *conf = conf_of("");

	for (size_t i = 0; i < PH_ARRAY_LEN(content_cases); i++) {
		submit(conf, arena, NULL, true, 0, 0, "s@out.test", "u@out.test", content_cases[i].in);
		tap_is(steady(got_content), steady(content_cases[i].out), content_cases[i].name);
	}
	submit(conf, arena, NULL, false, 0, 0, "s@out.test", "u@out.test", "To: user\nBcc: x\n\nbody");
	tap_is(got_content, "To: user\n\nbody\n", "remote mail: nothing is rewritten or added, Bcc goes");
	tap_ok(strstr(ph_buf_str(&got_log), "cleanup: ") && strstr(ph_buf_str(&got_log), "message-id=<>\n"), "missing message id is logged");
	submit(conf, arena, NULL, false, 0, 0, "s@out.test", "u@out.test", "Message-ID: <a@b>\nX: 1\r2\n\na\rb\r\n");
	tap_is(got_content, "Message-ID: <a@b>\nX: 1 2\n\na b \n", "stray CR becomes a space");
	tap_ok(strstr(ph_buf_str(&got_log), "message-id=<a@b>\n"), "message id is logged");
	submit(conf, arena, NULL, true, PH_INTAKE_RECEIVED_DONE, 0, "", "u@x", "Message-ID: <m>\nDate: x\nFrom: x@x\n\n");
	tap_ok(strncmp(got_content, "Received: by mail.here.test (Postfix)\n\tid ", 42) == 0, "who brings no Received: gets one: %s", got_content);
	submit(conf_of("always_add_missing_headers = yes\nundisclosed_recipients_header = To: undisclosed-recipients:;\n"), arena, NULL, false, 0, 0,
	       "s@out.test", "u@out.test", "Subject: x\n\n");
	tap_is(steady(got_content), "Subject: x\nMessage-Id: <2\nDate: \nFrom: s@out.test\nTo: undisclosed-recipients:;\n\n", "always_add_missing_headers");
	submit(conf_of("remote_header_rewrite_domain = invalid.test\n"), arena, NULL, false, 0, 0, "s@out.test", "u@out.test", "Message-ID: <m>\nDate: x\nFrom: f\nTo: user\n\n");
	tap_is(got_content, "Message-ID: <m>\nDate: x\nFrom: f@invalid.test\nTo: user@invalid.test\n\n", "remote_header_rewrite_domain");
	submit(conf_of("message_strip_characters = \\0x\n"), arena, NULL, false, 0, 0, "s@out.test", "u@out.test", "Subject: axb\n\nxyz\n");
	tap_is(got_content, "Subject: ab\n\nyz\n", "message_strip_characters");
	tap_is(submit(conf_of("message_reject_characters = \\001\n"), arena, NULL, false, 0, 0, "s@out.test", "u@out.test", "Subject: a\n\nx\001yz\n"),
	       "550 5.7.1 disallowed character", "message_reject_characters");
}

/* N-164 */
static void test_end_of_header(void)
{
	static const char odd[] = "Message-ID: <m>\nno header\nTo: x\n\nb\n", folded[] = " begins so\nMessage-ID: <m>\n\nb\n";
	static const char part[] = "Message-ID: <m>\nContent-Type: multipart/mixed; boundary=b\n\n--b\nno header\n--b--\n";
	const struct ph_conf *add = conf_of("non_empty_end_of_header_action = add_header\n"), *no = conf_of("non_empty_end_of_header_action = reject\n");

	submit(conf_of(""), arena, NULL, false, 0, 0, "s@x", "u@x", odd);
	tap_is(got_content, "Message-ID: <m>\n\nno header\nTo: x\n\nb\n", "text that is no header ends the headers");
	submit(add, arena, NULL, false, 0, 0, "s@x", "u@x", odd);
	tap_is(got_content, "Message-ID: <m>\nMIME-Error: message header was not terminated by empty line\n\nno header\nTo: x\n\nb\n", "N-164 add_header");
	tap_is(submit(no, arena, NULL, false, 0, 0, "s@x", "u@x", odd), "550 5.6.0 primary header was terminated with non-empty line", "N-164 reject");
	tap_ok(strstr(ph_buf_str(&got_log), ": reject: mime-error primary header was terminated with non-empty line: no header from client.test[192.0.2.1]; "
		      "from=<s@x> to=<u@x>\n"), "N-164 and why: %s", ph_buf_str(&got_log));
	tap_is(submit(no, arena, NULL, false, 0, 0, "s@x", "u@x", part), "ok", "headers of a part may end so");
	tap_is(submit(no, arena, NULL, false, 0, 0, "s@x", "u@x", folded), "ok", "a blank at the very beginning is no such end");
	tap_is(submit(no, arena, NULL, false, 0, 0, "s@x", "u@x", "\nb\n"), "ok", "an empty line is none");
	tap_is(submit(no, arena, NULL, false, PH_INTAKE_BOUNCE, 0, "s@x", "u@x", odd), "ok", "our own mail is not refused");
	tap_is(submit(conf_of("non_empty_end_of_header_action = maybe\n"), arena, NULL, false, 0, 0, "s@x", "u@x", odd),
	       "bad value of non_empty_end_of_header_action: \"maybe\" is not fix_quietly, add_header or reject", "a bad value takes nothing in");
}

static void test_conversion(void)
{
	const struct ph_conf *conf = conf_of("force_mime_input_conversion = yes\nheader_checks = regexp:{{/^Content-.*8bit/ REJECT}}\nbody_checks = regexp:{{/^=C3=A9/ PREPEND seen}}\n");
	char longer[3000], want[3000] = "Message-ID: <m>\nContent-Transfer-Encoding: quoted-printable\n\n", *body;

	submit(conf, arena, NULL, false, 0, 0, "s@x", "u@x", "Content-Transfer-Encoding: 8bit\nMessage-ID: <m>\n\n\xc3\xa9=\nx \n\n");
	tap_is(got_content, "Message-ID: <m>\nContent-Transfer-Encoding: quoted-printable\n\nseen\n=C3=A9=3D\nx=20\n\n", "8bit becomes quoted-printable, before checks");
	submit(conf, arena, NULL, false, 0, 0, "s@x", "u@x", "Message-ID: <m>\n\n\xc3\xa9=\n");
	tap_is(got_content, "Message-ID: <m>\n\n\xc3\xa9=\n", "what does not say so stays");
	submit(conf, arena, NULL, false, 0, 0, "s@x", "u@x", "Message-ID: <m>\nContent-Transfer-Encoding: base64\n\nw6k=\n");
	tap_is(got_content, "Message-ID: <m>\nContent-Transfer-Encoding: base64\n\nw6k=\n", "base64 stays");
	submit(conf, arena, NULL, false, 0, 0, "s@x", "u@x",
	       "Message-ID: <m>\nContent-Type: multipart/mixed; boundary=b\nContent-Transfer-Encoding: binary\n\np\n--b\nContent-Transfer-Encoding: 8bit\n\n\xc3\xa9\n"
	       "--b\nContent-Type: message/rfc822\nContent-Transfer-Encoding: 8bit\n\nSubject: n\nContent-Transfer-Encoding: 8bit\n\n\xc3\xa4\n--b\n\n=\n--b--\n=\n");
	tap_is(got_content,
	       "Message-ID: <m>\nContent-Type: multipart/mixed; boundary=b\nContent-Transfer-Encoding: 7bit\n\np\n--b\nContent-Transfer-Encoding: quoted-printable\n\nseen\n=C3=A9\n"
	       "--b\nContent-Type: message/rfc822\nContent-Transfer-Encoding: 7bit\n\nSubject: n\nContent-Transfer-Encoding: quoted-printable\n\n=C3=A4\n--b\n\n=\n--b--\n=\n",
	       "parts and attached messages");
	tap_is(got_encoding, "7bit", "noted as what it is now");
	submit(conf_of(""), arena, NULL, false, 0, 0, "s@x", "u@x", "Message-ID: <m>\nContent-Type: multipart/mixed; boundary=b\nContent-Transfer-Encoding: binary\n\n");
	tap_is(got_encoding, "8bit", "without conversion: as what it is declared");
	strcpy(longer, "Message-ID: <m>\nContent-Transfer-Encoding: 8bit\n\n");
	body = longer + strlen(longer);
	for (int i = 0; i < 100; i++)
		strcat(body, "0123456789");
	for (size_t i = 0; i < 1000; i += 73)
		strcat(strncat(want, body + i, 73), i + 73 < 1000 ? "=\n" : "\n");
	submit(conf, arena, NULL, false, 0, 0, "s@x", "u@x", longer);
	tap_is(got_content, want, "long lines are folded");
	submit(conf_of("force_mime_input_conversion = yes\ndisable_mime_input_processing = yes\n"), arena, NULL, false, 0, 0, "s@x", "u@x",
	       "Message-ID: <m>\nContent-Transfer-Encoding: 8bit\n\n\xc3\xa9\n");
	tap_is(got_content, "Message-ID: <m>\nContent-Transfer-Encoding: 8bit\n\n\xc3\xa9\n", "disable_mime_input_processing leaves all as it is");
}

static const char *words(const char *charset, const char *text)
{
	struct ph_buf b = PH_BUF_INIT(2000);
	const char *out = ph_encoded_words(charset, text, &b) < 0 ? "-" : ph_arena_strdup(arena, ph_buf_str(&b));

	ph_buf_done(&b);
	return out;
}

static void test_encoded_words(void)
{
	char name[400] = "", charset[100];

	tap_is(words("utf-8", "J\xc3\xbcrgen \"x\" <y>"), "=?utf-8?q?J=C3=BCrgen_=22x=22_=3Cy=3E?=", "a phrase");
	tap_is(words("iso-8859-1", "J\xfcrgen"), "=?iso-8859-1?q?J=FCrgen?=", "another character set");
	for (int i = 0; i < 30; i++)
		strcat(name, "\xe2\x82\xac");
	tap_is(words("UTF-8", name), "=?UTF-8?b?4oKs4oKs4oKs4oKs4oKs4oKs4oKs4oKs4oKs4oKs4oKs4oKs4oKs4oKs4oKs?=\n =?UTF-8?b?4oKs4oKs4oKs4oKs4oKs4oKs4oKs4oKs4oKs4oKs4oKs4oKs4oKs4oKs4oKs?=",
	       "base64, and no character is cut");
	tap_is(words("", "\xe9"), "-", "no character set");
	tap_is(words("a b", "\xe9"), "-", "a bad name");
	tap_is(words("a?b", "\xe9"), "-", "another");
	memset(charset, 'x', sizeof(charset));
	charset[57] = 0;
	tap_is(words(charset, "\xe9"), "-", "a name that leaves no room");
	charset[56] = 0;
	tap_ok(strlen(words(charset, "\xe9\xe9\xe9\xe9")) <= 75, "one that just fits");
}

static const char *env_of(const char *more, const char *sender, const char *rcpts)
{
	const char *v = submit(conf_of(more), arena, NULL, false, 0, 0, sender, rcpts, "Subject: x\n\n");

	return strcmp(v, "ok") ? v : ph_arena_strdup(arena, ph_buf_str(&got_env));
}

static void test_envelope(void)
{
	tap_is(env_of("", "s", "u v@w.test"), "s@mail.here.test|u@mail.here.test(u)|v@w.test", "incomplete addresses");
	tap_is(env_of("", "", "u@x.test U@X.test u@x.test"), "|u@x.test", "each recipient once");
	tap_is(env_of("virtual_alias_maps = inline:{ {a@x.test=b@y.test, c}, {c@mail.here.test=d@z.test} }\n", "s@x.test", "a@x.test"),
	       "s@x.test|b@y.test(a@x.test)|d@z.test(a@x.test)", "virtual aliases are expanded again");
	tap_is(env_of("virtual_alias_maps = inline:{ {a@x.test=b@x.test}, {b@x.test=a@x.test} }\n", "", "a@x.test"), "451 4.6.0 Alias expansion error", "alias loop is refused");
	tap_is(env_of("virtual_alias_maps = inline:{ {a@x.test=a@x.test, b@y.test} }\n", "", "a@x.test"), "|a@x.test|b@y.test(a@x.test)", "alias with itself in it");
	tap_is(env_of("virtual_alias_maps = inline:{ {@x.test=@y.test} }\n", "", "a+e@x.test"), "|a+e@y.test(a+e@x.test)", "@domain keeps the local part");
	tap_is(env_of("virtual_alias_maps = inline:{ {a@x.test=b@y.test} }\n", "", "a+e@x.test"), "|b+e@y.test(a+e@x.test)", "extension is kept");
	tap_is(env_of("virtual_alias_maps = inline:{ {a@x.test=b@y.test} }\npropagate_unmatched_extensions =\n", "", "a+e@x.test"), "|b@y.test(a+e@x.test)", "or not");
	tap_is(env_of("virtual_alias_maps = inline:{ {a@x.test=b@y.test} }\nenable_original_recipient = no\n", "", "a@x.test b@y.test"), "|b@y.test(a@x.test)",
	       "without the original it is one recipient");
	tap_is(env_of("virtual_alias_maps = regexp:{ {/^(.*)a@x/ $${1}aa@x} }\n", "", "a@x.test"), "451 4.6.0 Alias expansion error", "growing alias");
	tap_ok(strstr(ph_buf_str(&got_log), "unreasonable virtual_alias_maps") != NULL, "and why: %s", ph_buf_str(&got_log));
	tap_is(env_of("virtual_alias_maps = inline:{ {a@x.test=b@x.test c@x.test d@x.test} }\nvirtual_alias_expansion_limit = 2\n", "", "a@x.test"),
	       "451 4.6.0 Alias expansion error", "expansion limit");
	tap_is(env_of("virtual_alias_maps = fail:x\n", "", "a@x.test"), "451 4.3.0 Error: queue file write error", "failing table defers");
	tap_is(env_of("canonical_maps = inline:{ {s@x.test=S@new.test}, {u@x.test=U@new.test} }\n", "s@x.test", "u@x.test"), "S@new.test|U@new.test(u@x.test)", "canonical_maps");
	tap_is(env_of("sender_canonical_maps = inline:{ {@x.test=@n.test} }\n", "s@x.test", "u@x.test"), "s@n.test|u@x.test", "sender_canonical_maps");
	tap_is(env_of("recipient_canonical_maps = inline:{ {@x.test=@n.test} }\n", "s@x.test", "u@x.test"), "s@x.test|u@n.test(u@x.test)", "recipient_canonical_maps");
	tap_is(env_of("canonical_maps = inline:{ {a@x.test=b@x.test}, {b@x.test=c@x.test} }\n", "", "a@x.test"), "|c@x.test(a@x.test)", "canonical maps are recursive");
	tap_is(env_of("masquerade_domains = !keep.x.test x.test\nmasquerade_exceptions = root\n", "s@a.x.test", "u@a.x.test"), "s@x.test|u@a.x.test", "masquerade: sender only");
	tap_is(env_of("masquerade_domains = !keep.x.test x.test\n", "s@a.keep.x.test", "u@y"), "s@a.keep.x.test|u@y", "masquerade: exception of a domain");
	tap_is(env_of("masquerade_domains = x.test\nmasquerade_exceptions = root\n", "root@a.x.test", "u@y"), "root@a.x.test|u@y", "masquerade: exception of a user");
	tap_is(env_of("always_bcc = arch@x.test\n", "s@x.test", "u@x.test"), "s@x.test|u@x.test|arch@x.test/1", "always_bcc");
	tap_is(env_of("sender_bcc_maps = inline:{ {@x.test=sb@y.test} }\nrecipient_bcc_maps = inline:{ {u@x.test=rb@y.test} }\n", "s@x.test", "u@x.test"),
	       "s@x.test|u@x.test|rb@y.test/1|sb@y.test/1", "sender and recipient bcc");
	tap_is(submit(conf_of("virtual_alias_maps = inline:{ {a@x.test=b@x.test} }\nalways_bcc = q@x\n"), arena, NULL, false, PH_INTAKE_NO_MAPPINGS, 0, "", "a@x.test", "\n"), "ok", "no_address_mappings");
	tap_is(ph_buf_str(&got_env), "|a@x.test", "no_address_mappings: none happened");
}

static void test_limits(void)
{
	const struct ph_conf *conf = conf_of("hopcount_limit = 3\nheader_size_limit = 20\n");
	char big[300];

	tap_is(submit(conf, arena, NULL, false, 0, 0, "", "u@x.test", "Received: 1\nReceived: 2\nreceived : 3\n\n"), "554 5.4.0 Error: too many hops", "hop count");
	tap_is(submit(conf, arena, NULL, false, 0, 50, "", "u@x.test", "Subject: x\n\n12345678901234567890123456789012345678901234567890\n"),
	       "552 5.3.4 Error: message file too big", "message_size_limit");
	memset(big, 'x', sizeof(big));
	memcpy(big, "Subject: ", 9);
	strcpy(big + 200, "\n more\nTo: u@x\n\nbody\n");
	submit(conf, arena, NULL, false, 0, 0, "", "u@x.test", big);
	tap_is(got_content, "Subject: xxxxxxxxxxx\nTo: u@x\n\nbody\n", "a header is cut at header_size_limit");
	commit_result = -ENOSPC;
	tap_is(submit(conf, arena, NULL, false, 0, 0, "", "u@x.test", "\n"), "452 4.3.1 Insufficient system storage", "no space");
	commit_result = -EIO;
	tap_is(submit(conf, arena, NULL, false, 0, 0, "", "u@x.test", "\n"), "451 4.3.0 Error: queue file write error", "failed fdatasync");
	commit_result = 0;
	tap_is(submit(conf_of("queue_minfree = 2000000\n"), arena, NULL, false, 0, 0, "", "u@x", "\n"),
	       "not enough free space in mail queue: 1000000 bytes < queue_minfree 2000000", "queue_minfree");
	tap_is(submit(conf_of("strict_7bit_headers = yes\n"), arena, NULL, false, 0, 0, "", "u@x", "Subject: \xc3\xa9\n\n"),
	       "550 5.6.0 improper use of 8-bit data in message header", "strict_7bit_headers");
	tap_is(submit(conf_of("strict_8bitmime_body = yes\n"), arena, NULL, false, 0, 0, "", "u@x", "Subject: x\n\n\xc3\xa9\n"),
	       "550 5.6.0 improper use of 8-bit data in message body", "strict_8bitmime_body");
	tap_is(submit(conf_of("strict_8bitmime_body = yes\n"), arena, NULL, false, 0, 0, "", "u@x",
		      "Content-Transfer-Encoding: 8bit\n\n\xc3\xa9\n"), "ok", "declared 8-bit body");
}

/* ---- checks ---- */

static const char header_table[] =
	"/^X-Reject0:/ REJECT\n/^X-Reject1:/ REJECT nasty text\n/^X-Reject2:/ REJECT 5.9.9 with dsn\n/^X-Reject3:/ REJECT 4.9.9 soft\n"
	"/^X-Warn:/ WARN careful\n/^X-Warn0:/ WARN\n/^X-Hold:/ HOLD why\n/^X-Discard:/ DISCARD gone\n/^X-Filter:/ FILTER smtp:[1.2.3.4]\n"
	"/^X-Redirect:/ REDIRECT red@out.test\n/^X-Bcc:/ BCC bcc@out.test\n/^X-Replace:/ REPLACE X-Replaced: new value\n/^X-ReplaceTo:/ REPLACE To: foo\n"
	"/^X-Ignore:/ IGNORE\n/^X-Strip:/ STRIP stripped\n/^X-Prepend:/ PREPEND X-Before: yes\n/^X-PrependBad:/ PREPEND no header text\n/^X-Pass:/ PASS\n"
	"/^X-Inject:([^ ]* b.)/ REPLACE X-Injected: a${1}Bcc: evil@x\n/^X-Unknown:/ FROB it\n/^X-Empty:/ REPLACE\n/^X-After:/ REJECT after\n";
static const char body_table[] = "/breject/ REJECT body text\n/bwarn/ WARN w\n/breplace/ REPLACE replaced line\n/bprepend/ PREPEND before line\n/bignore/ IGNORE\n";

static const char *after_id(const char *log)
{
	const char *p = strstr(log, ": ");

	p = p ? strstr(p + 2, ": ") : NULL;
	return p ? p + 2 : log;
}

static void test_checks(void)
{
	const struct ph_conf *conf;
	static const char tail[] = " from local; from=<s@x> to=<u@x>";
	char cf[1500];
	const char *v;

	snprintf(cf, sizeof(cf), "header_checks = regexp:%s\nbody_checks = regexp:%s\nmessage_drop_headers =\n",
		 tmp_write("hc", header_table, 0), tmp_write("bc", body_table, 0));
	conf = conf_of(cf);
#define SEND(text) submit(conf, arena, NULL, false, 0, 0, "s@x", "u@x", "Message-ID: <m>\n" text)
#define LOGGED(text) tap_ok(strstr(ph_buf_str(&got_log), ph_arena_printf(arena, text, tail)) != NULL, "log: " text, "..."), \
	(strstr(ph_buf_str(&got_log), ph_arena_printf(arena, text, tail)) ? 0 : printf("# %s", ph_buf_str(&got_log)))
	v = SEND("X-Reject0: v a l\n  folded\n\n");
	tap_is(v, "550 5.7.1 message content rejected", "REJECT");
	LOGGED(": reject: header X-Reject0: v a l?  folded%s: 5.7.1 message content rejected\n");
	tap_is(SEND("X-Reject1: x\n\n"), "550 5.7.1 nasty text", "REJECT text");
	tap_is(SEND("X-Reject2: x\n\n"), "550 5.9.9 with dsn", "REJECT with an enhanced code");
	tap_is(SEND("X-Reject3: x\n\n"), "451 4.9.9 soft", "REJECT 4.x.x");
	announced = 0;
	tap_is(SEND("X-Discard: x\n\n"), "ok", "DISCARD");
	tap_ok(announced == 0, "DISCARD: nothing is queued");
	SEND("X-Warn: w\nX-Warn0: w\nX-Hold: h\nX-Filter: f\nX-Bcc: b\nX-Replace: old\nX-ReplaceTo: old\nX-Ignore: gone\nX-Strip: s\nX-Prepend: p\nX-PrependBad: p\n"
	     "X-Unknown: u\nX-Empty: e\n\nbwarn\nbreplace\nbprepend\nbignore\nend\n");
	tap_is(got_content, "Message-ID: <m>\nX-Warn: w\nX-Warn0: w\nX-Hold: h\nX-Filter: f\nX-Bcc: b\nX-Replaced: new value\nTo: foo\nX-Before: yes\nX-Prepend: p\n"
	       "X-PrependBad: p\nX-Unknown: u\nX-Empty: e\n\nbwarn\nreplaced line\nbefore line\nbprepend\nend\n", "what is left");
	tap_is(ph_buf_str(&got_env), "s@x|u@x|bcc@out.test/1|HOLD|FILTER smtp:[1.2.3.4]", "and the envelope");
	LOGGED(": warning: header X-Warn: w%s: careful\n");
	LOGGED(": warning: header X-Warn0: w%s\n");
	LOGGED(": hold: header X-Hold: h%s: why\n");
	LOGGED(": replace: header X-Replace: old%s: X-Replaced: new value\n");
	LOGGED(": warning: body bwarn%s: w\n");
	tap_ok(strstr(ph_buf_str(&got_log), "warning: unknown command in header_checks map: FROB it\n"), "unknown action");
	tap_ok(strstr(ph_buf_str(&got_log), "warning: REPLACE action without text in header_checks map\n"), "REPLACE without text");
	tap_is(SEND("X-Inject: b\n c\n\n"), "451 4.3.0 Error: queue file write error", "a table's result with a line break is a failed look-up");
	tap_is(SEND("X-Pass: x\nX-After: x\n\nbreject\n"), "ok", "PASS ends the checks");
	tap_is(SEND("X-Redirect: x\nX-After: x\n\nbreject\n"), "ok", "REDIRECT ends the checks");
	tap_is(ph_buf_str(&got_env), "s@x|u@x|REDIRECT red@out.test", "REDIRECT");
	tap_is(SEND("\nbreject\n"), "550 5.7.1 body text", "body_checks");
	tap_is(SEND("Content-Type: multipart/mixed; boundary=b\n\n--b\nX-Reject1: in a part\n\n--b--\n"), "550 5.7.1 nasty text", "headers of parts");
	tap_is(SEND("Content-Type: message/rfc822\n\nX-Reject1: nested\n\n"), "550 5.7.1 nasty text", "headers of attached messages");
	tap_is(SEND("Content-Type: text/plain\n\nX-Reject1: in the body\n\n"), "ok", "text of the body is no header");
	tap_is(submit(conf, arena, NULL, false, PH_INTAKE_NO_CHECKS, 0, "", "u@x", "X-Reject1: x\n\n"), "ok", "no_header_body_checks");
	tap_is(submit(conf_of("header_checks = fail:x\n"), arena, NULL, false, 0, 0, "", "u@x", "X: x\n\n"), "451 4.3.0 Error: queue file write error", "failing table defers");
	(void)after_id;
}

/* ---- filters ---- */

static const char *plan;        /* what the test filter does */
static struct ph_buf seen = PH_BUF_INIT(1 << 20);

static struct ph_verdict dunno(void)
{
	return (struct ph_verdict){ .cls = PH_DUNNO };
}

static struct ph_verdict t_header(void *obj, struct ph_mail *m, enum ph_header_kind kind, const char *line, size_t n)
{
	ph_buf_printf(&seen, "H[%.*s]", (int)n, line);
	if (strcmp(plan, "lines") == 0 && n > 4 && memcmp(line, "Drop", 4) == 0)
		ph_edit_line_drop(m);
	if (strcmp(plan, "inject") == 0)
		ph_edit_line_replace(m, "X: a\n\nEvil: b");
	return dunno();
}

static struct ph_verdict t_body(void *obj, struct ph_mail *m, const char *line, size_t n)
{
	ph_buf_printf(&seen, "B[%.*s]", (int)n, line);
	if (strcmp(plan, "lines") == 0 && n == 3)
		ph_edit_line_replace(m, "THREE");
	return dunno();
}

static struct ph_verdict t_eom(void *obj, struct ph_mail *m)
{
	struct ph_err err = { .text = "broken" };

	ph_buf_printf(&seen, "E[%d]", (int)ph_mail_bytes(m));
	if (strcmp(plan, "edits") == 0 || strcmp(plan, "fail") == 0) {
		ph_edit_add_header(m, "X-Added", "end");
		ph_edit_insert_header(m, 0, "X-Top", "a\nBad: b");
		ph_edit_insert_header(m, 1, "X-Second", "2");
		ph_edit_change_header(m, 2, "X-Dup", "changed");
		ph_edit_change_header(m, 1, "X-Dup", NULL);
		ph_edit_change_header(m, 1, "X-New", "new");
		ph_edit_add_recipient(m, "<added@x>", "NOTIFY=NEVER");
		ph_edit_delete_recipient(m, "<u@x>");
		ph_edit_change_sender(m, "<new@x>", NULL);
		ph_edit_hold(m, "");
		if (*plan == 'f')
			return ph_filter_fail(m, &err);
	}
	if (strcmp(plan, "body") == 0) {
		ph_edit_replace_body(m, "new\r\nbo", 7);
		ph_edit_replace_body(m, "dy", 2);
	}
	if (strcmp(plan, "reject") == 0)
		return (struct ph_verdict){ .cls = PH_REJECT, .code = 550, .dsn = "5.7.1", .text = "spam", .complete = true };
	if (strcmp(plan, "discard") == 0)
		ph_edit_discard(m, "");
	return dunno();
}

static const struct ph_filter_ops test_ops = { .size = sizeof(test_ops), .header = t_header, .body = t_body, .end_of_message = t_eom };
static const struct ph_module milter_module = {
	.magic = PH_MODULE_MAGIC, .abi_major = PH_ABI_MAJOR, .abi_minor = PH_ABI_MINOR, .size = sizeof(struct ph_module), .kind = PH_KIND_FILTER,
	.name = "milter", .version = "1", .summary = "", .ops.filter = &test_ops,
};
static const struct ph_module test_module = {
	.magic = PH_MODULE_MAGIC, .abi_major = PH_ABI_MAJOR, .abi_minor = PH_ABI_MINOR, .size = sizeof(struct ph_module), .kind = PH_KIND_FILTER,
	.name = "testf", .version = "1", .summary = "", .ops.filter = &test_ops,
};
const struct ph_module *const ph_static_modules[] = { &test_module, &milter_module, NULL };

static const char *filtered(const struct ph_conf *conf, const char *what, const char *text)
{
	struct ph_filter_chain *chain = ph_filter_chain_new(conf, NULL, NULL);
	const char *v;

	plan = what;
	ph_buf_clear(&seen);
	v = submit(conf, arena, chain, false, 0, 0, "s@x", "u@x", text);
	ph_filter_chain_free(&chain);
	return v;
}

static void test_filters(void)
{
	const struct ph_conf *conf = conf_of("non_smtpd_filters = testf\n"), *accept = conf_of("non_smtpd_filters = testf\ntestf_default_action = accept\n");
	static const char text[] = "X-Dup: 1\nX-Dup: 2\n folded\nSubject: s\n\nbody\n\nend\n";

	tap_is(filtered(conf, "look", text), "ok", "a filter that only looks");
	tap_is(ph_buf_str(&seen), "H[X-Dup: 1]H[X-Dup: 2\n folded]H[Subject: s]B[body]B[]B[end]E[48]", "what it sees");
	tap_is(got_content, text, "and leaves");
	tap_is(filtered(conf, "edits", text), "ok", "edits");
	tap_is(got_content, "X-Top: a\n\tBad: b\nX-Second: 2\nX-Dup: changed\nSubject: s\nX-Added: end\nX-New: new\n\nbody\n\nend\n", "edits of headers");
	tap_is(ph_buf_str(&got_env), "new@x|added@x/1|HOLD", "edits of the envelope");
	tap_is(filtered(conf, "body", text), "ok", "new body");
	tap_is(got_content, "X-Dup: 1\nX-Dup: 2\n folded\nSubject: s\n\nnew\nbody\n", "new body");
	tap_is(filtered(conf, "lines", "Drop: 1\n more\nX: y\n\none\ntwo\nthree\n"), "ok", "edits of lines");
	tap_is(got_content, "X: y\n\nTHREE\nTHREE\nthree\n", "edits of lines");
	tap_is(filtered(conf, "inject", "X: y\n\nbody\n"), "ok", "text of a filter");
	tap_is(got_content, "X: a\n\t\n\tEvil: b\n\nbody\n", "it cannot begin a header, or end the headers");
	tap_is(filtered(conf, "reject", text), "550 5.7.1 spam", "reject");
	tap_ok(strstr(ph_buf_str(&got_log), ": milter-reject: END-OF-MESSAGE from client.test[192.0.2.1]: 5.7.1 spam; from=<s@x> to=<u@x>\n") != NULL,
	       "reject is logged");
	announced = 0;
	tap_is(filtered(conf, "discard", text), "ok", "discard");
	tap_ok(announced == 0, "nothing is queued");
	tap_is(filtered(conf, "fail", text), "451 4.7.1 Service unavailable - try again later", "a filter that fails defers the message");
	tap_is(filtered(accept, "fail", text), "ok", "or is left out");
	tap_is(got_content, text, "and then has changed nothing");
	tap_is(ph_buf_str(&got_env), "s@x|u@x", "of the envelope neither");
	conf = conf_of(ph_arena_printf(arena, "non_smtpd_milters = x\nmilter_header_checks = regexp:%s\n",
				       tmp_write("mc", "/^X-Added:/ IGNORE\n/^X-New:/ REPLACE X-Newer: 1\n/^X-Second:/ BCC b@x\n", 0)));
	tap_is(filtered(conf, "edits", text), "ok", "milter_header_checks");
	tap_is(got_content, "X-Top: a\n\tBad: b\nX-Second: 2\nX-Dup: changed\nSubject: s\nX-Newer: 1\n\nbody\n\nend\n", "milter_header_checks");
	tap_is(ph_buf_str(&got_env), "new@x|added@x/1|b@x/1|HOLD", "milter_header_checks: BCC");
	tap_ok(strstr(ph_buf_str(&got_log), ": milter-header-replace: header X-New: new from localhost[127.0.0.1]; from=<") != NULL, "and their log lines");
	tap_ok(ph_filter_chain_new(conf_of(""), NULL, NULL) == NULL, "no filters, no chain");
}

static void run(void *arg)
{
	test_content();
	test_end_of_header();
	test_conversion();
	test_encoded_words();
	test_envelope();
	test_limits();
	test_checks();
	test_filters();
}

int main(void)
{
	setenv("PH_MODULE_PATH", ".libs", 0);
	setenv("TZ", "UTC", 1);
	tmp_start();
	if (!freopen(tmp_path("log"), "w+", stderr))
		return 1;
	arena = ph_arena_new();
	ph_run_blocking(run, NULL);
	while (n_configs)
		ph_config_free(&configs[--n_configs]);
	ph_arena_free(&arena);
	ph_buf_done(&got_log);
	ph_buf_done(&got_env);
	ph_buf_done(&seen);
	ph_buf_done(&the_msg.content);
	free(got_content);
	tmp_end();
	return tap_done();
}
