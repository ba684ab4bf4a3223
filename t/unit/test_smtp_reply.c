/* Replies of SMTP servers, and 8bit parts becoming quoted-printable: pure parts. */
#include <posthouse/message.h>
#include "../../modules/delivery/smtp/reply.c"      /* pure; part of a module, not of the core */
#include "../../modules/delivery/smtp/chat.c"
#include "base/loop.h"
#include "config/config.h"
#include "module/loader.h"
#include "tap.h"

static struct smtp_reply r;

/* Feed lines separated by LF; the state after the last. */
static enum smtp_reply_state feed(const char *lines)
{
	enum smtp_reply_state s = SMTP_REPLY_MORE;
	const char *lf;

	smtp_reply_reset(&r);
	for (; *lines; lines = *lf ? lf + 1 : lf) {
		lf = strchrnul(lines, '\n');
		s = smtp_reply_line(&r, lines, (size_t)(lf - lines));
	}
	return s;
}

static void test_codes(void)
{
	static const char *const garbage[] = { "25", "-50", "2500", "abc", "25x ok", " 250 ok", "" , "250\tok", "+25 x" };
	size_t i;

	tap_ok(feed("250 2.1.0 Ok") == SMTP_REPLY_DONE && r.code == 250 && !strcmp(r.dsn, "2.1.0") && r.has_dsn, "a plain reply");
	tap_ok(feed("553") == SMTP_REPLY_DONE && r.code == 553 && !strcmp(r.dsn, "5.0.0") && !r.has_dsn, "N-205 a code without text");
	tap_ok(feed("550 4.1.1 x") == SMTP_REPLY_DONE && !strcmp(r.dsn, "5.0.0"), "an enhanced code of another class does not count");
	tap_ok(feed("354 go") == SMTP_REPLY_DONE && !strcmp(r.dsn, "5.5.0"), "354 is no final answer");
	tap_ok(feed("550-5.1.1 a\n550 5.1.1 b") == SMTP_REPLY_DONE && !strcmp(ph_buf_str(&r.text), "550-5.1.1 a\n550 5.1.1 b"), "two lines");
	tap_ok(feed("250-a\n550 b") == SMTP_REPLY_DONE && r.code == 550, "N-204 the last code counts");
	tap_ok(feed("550 5.1.1234 x") == SMTP_REPLY_DONE && !strcmp(r.dsn, "5.0.0"), "too many digits");
	tap_ok(feed("550 5.1.1x") == SMTP_REPLY_DONE && !strcmp(r.dsn, "5.0.0"), "no space behind the enhanced code");
	for (i = 0; i < PH_ARRAY_LEN(garbage); i++) {
		smtp_reply_reset(&r);
		tap_ok(smtp_reply_line(&r, garbage[i], strlen(garbage[i])) == SMTP_REPLY_GARBAGE, "N-204 \"%s\" is no reply", garbage[i]);
	}
}

static void test_garbage_text(void)
{
	smtp_reply_reset(&r);
	smtp_reply_line(&r, "what?", 5);
	tap_ok(smtp_reply_line(&r, "450 4.2.0 x", 11) == SMTP_REPLY_DONE && !strcmp(ph_buf_str(&r.text), "what?\n450 4.2.0 x") && r.code == 450 && !strcmp(r.dsn, "4.2.0"),
	       "what is no reply is part of the text of the next one");
}

static void test_bounds(void)
{
	char line[3000];
	int i;

	memset(line, 'x', sizeof(line));
	memcpy(line, "250-", 4);
	smtp_reply_reset(&r);
	for (i = 0; i < SMTP_REPLY_LINES_MAX; i++) {
		if (smtp_reply_line(&r, line, sizeof(line)) != SMTP_REPLY_MORE)
			break;
	}
	tap_ok(i == SMTP_REPLY_LINES_MAX && smtp_reply_line(&r, line, sizeof(line)) == SMTP_REPLY_TOO_LONG, "N-203 lines are counted");
	tap_ok(r.text.len == SMTP_REPLY_TEXT_MAX, "N-203 N-206 the text is cut");
	smtp_reply_reset(&r);
	smtp_reply_line(&r, "250 new", 7);
	tap_is(ph_buf_str(&r.text), "250 new", "nothing is left of the reply before");
}

/* ---- downgrade ---------------------------------------------------------------------------- */

static struct ph_buf out = PH_BUF_INIT(1 << 20);

static void put_line(void *arg, const char *line, size_t n)
{
	ph_buf_append(&out, line, n);
	ph_buf_putc(&out, '\n');
}

static const char *downgrade(const char *text, size_t piece)
{
	struct ph_mime_downgrade *m = ph_mime_downgrade_new(put_line, NULL);
	size_t n = strlen(text), at;

	ph_buf_clear(&out);
	for (at = 0; at < n; at += piece)
		ph_mime_downgrade_feed(m, text + at, n - at < piece ? n - at : piece);
	ph_mime_downgrade_end(&m);
	return ph_buf_str(&out);
}

static const char mixed[] =
	"From: a\nContent-Type: multipart/mixed; boundary=\"b\"\nContent-Transfer-Encoding: 8bit\nSubject: x\n\n"
	"--b\nContent-Type: text/plain;\n charset=utf-8\nContent-Transfer-Encoding: 8bit\n\ncaf\303\251 = tab\t\n"
	"--b\nContent-Type: message/rfc822\n\nSubject: inner\nContent-Transfer-Encoding: binary\n\n\351\n"
	"--b\n\nplain = \351 undeclared\n--b--\nepilogue\n";
static const char mixed_want[] =
	"From: a\nContent-Type: multipart/mixed; boundary=\"b\"\nSubject: x\nContent-Transfer-Encoding: 7bit\n\n"
	"--b\nContent-Type: text/plain;\n charset=utf-8\nContent-Transfer-Encoding: quoted-printable\n\ncaf=C3=A9 =3D tab=09\n"
	"--b\nContent-Type: message/rfc822\n\nSubject: inner\nContent-Transfer-Encoding: quoted-printable\n\n=E9\n"
	"--b\n\nplain = \351 undeclared\n--b--\nepilogue\n";

static void test_downgrade(void)
{
	static char wide[200001];
	size_t piece;

	for (piece = 1; piece < 300; piece += 37)
		tap_is(downgrade(mixed, piece), mixed_want, "parts become quoted-printable");
	tap_is(downgrade("A: b\n\ncaf\351\n", 100), "A: b\n\ncaf\351\n", "what is not declared stays");
	tap_is(downgrade("Content-Transfer-Encoding: 8bit\n\n0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890\n", 50),
	       "Content-Transfer-Encoding: quoted-printable\n\n0123456789012345678901234567890123456789012345678901234567890123456789012=\n345678901234567890\n", "long lines are broken");
	tap_is(downgrade("Content-Transfer-Encoding: 8bit\n", 50), "Content-Transfer-Encoding: quoted-printable\n", "no body");
	tap_is(downgrade("", 50), "", "nothing at all");
	memset(wide, 'x', 200000);
	tap_ok(strlen(downgrade(wide, 1000)) >= 200000, "a line of 200 KB");
	memcpy(wide, "A: ", 3);
	for (piece = 100; piece < 199000; piece += 1000)
		memcpy(wide + piece, "\n ", 2);
	tap_ok(strncmp(downgrade(wide, 1000), wide, 150000) == 0, "a header of 200 KB");
}

/* smtp_reply_filter asks with a C string; the line of a hostile server may hold a NUL byte, and what is behind it counts as before. */
static void ask_filter(void *arg)
{
	static const char nul[] = "550 a\0 and much more behind it";
	struct smtp_service svc = { .reply_filter = arg };
	struct smtp_session session = { .namaddrport = (char *)"host" };
	struct smtp_state st = { .service = &svc, .session = &session, .arena = ph_arena_new() };
	struct ph_slice in = { nul, sizeof(nul) - 1 }, line = filter_line(&st, in);

	tap_ok(line.n == in.n && memcmp(line.p, nul, in.n) == 0, "N-204 smtp_reply_filter, not found: the line as it is, with its NUL byte");
	line = filter_line(&st, (struct ph_slice){ "550 x\0y", 7 });
	tap_ok(line.n == 5 && memcmp(line.p, "450 z", 5) == 0, "found: what the table says");
	ph_arena_free(&st.arena);
}

static void test_filter(void)
{
	struct ph_config *config;
	struct ph_err err = { 0 };

	if (ph_config_parse("", "", &config, &err) < 0) {
		tap_ok(false, "%s", err.text);
		return;
	}
	ph_run_blocking(ask_filter, ph_maps_open(ph_config_main(config), "smtp_reply_filter", "inline:{{550 x = 450 z}}"));
	ph_config_free(&config);
	ph_modules_done();
}

int main(void)
{
	setenv("PH_MODULE_PATH", ".libs", 0);
	smtp_reply_init(&r);
	test_codes();
	test_garbage_text();
	test_bounds();
	test_downgrade();
	test_filter();
	smtp_reply_done(&r);
	ph_buf_done(&out);
	return tap_done();
}
