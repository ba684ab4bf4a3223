/* smtpd_parse.c: the pure parsers of the SMTP server: command lines, xtext, NOTIFY, BDAT, base64, PROXY. */
#include <errno.h>
#include <posthouse/delivery.h>
#include <stdlib.h>
#include <string.h>

#include "smtpd/cmdline.h"
#include "smtpd/haproxy.h"
#include "smtpd/session.h"
#include "unit/tap.h"

#define S(text) ((struct ph_slice){ text, sizeof(text) - 1 })

static bool word_is(const struct ph_smtpd_word *w, const char *text)
{
	return w->text.n == strlen(text) && memcmp(w->text.p, text, w->text.n) == 0;
}

static bool wire_is(const char *wire, const char *want)
{
	struct ph_buf b = PH_BUF_INIT(64);
	bool good = ph_smtpd_reply_from_wire(wire, &b);

	good = want ? good && strcmp(ph_buf_str(&b), want) == 0 : !good;
	ph_buf_done(&b);
	return good;
}

/* What smtpd_reject_filter_maps answers. */
static void wire_replies(void)
{
	tap_ok(wire_is("550 5.1.1 x", "550 5.1.1 x"), "a reply of one line");
	tap_ok(wire_is("450-4.7.1 a\r\n450 4.7.1 b\r\n", "450 4.7.1 a\n4.7.1 b"), "two lines with their codes");
	tap_ok(wire_is("450 a\nb\n451 c", "450 a\nb\n451 c"), "lines without a code, with another");
	tap_ok(wire_is("250 Ok", NULL) && wire_is("354 go", NULL) && wire_is("650 x", NULL), "no refusal");
	tap_ok(wire_is("550", NULL) && wire_is("550 ", NULL) && wire_is("55x y", NULL) && wire_is("5500 x", NULL) && wire_is("", NULL), "no reply");
	tap_ok(wire_is("550 0123456789012345678901234567890123456789012345678901234567890123456789", NULL), "too long");
}

static void words(void)
{
	struct ph_smtpd_cmdline c;
	char many[400];

	ph_smtpd_cmdline_split(&c, "MAIL FROM:<a@b> SIZE=1", 22);
	tap_ok(c.n == 4 && word_is(&c.w[1], "FROM:") && word_is(&c.w[2], "<a@b>") && word_is(&c.w[3], "SIZE=1"), "MAIL with an option");
	tap_ok(c.w[2].kind == PH_SMTPD_WORD_ADDR, "the path is an address");
	ph_smtpd_cmdline_split(&c, "  rcpt\tto:  <a b@c>  ", 21);
	tap_ok(c.n == 3 && word_is(&c.w[1], "to:") && word_is(&c.w[2], "<a b@c>"), "white space, and white space in a path");
	ph_smtpd_cmdline_split(&c, "MAIL FROM:<a@b", 14);
	tap_ok(c.n == 3 && c.w[2].kind == PH_SMTPD_WORD_ERROR, "an open path is an error");
	ph_smtpd_cmdline_split(&c, "MAIL FROM:<\"a>b\"@c>", 19);
	tap_ok(c.n == 3 && word_is(&c.w[2], "<\"a>b\"@c>"), "> in quotes");
	ph_smtpd_cmdline_split(&c, "RCPT TO:<a\0b@c>", 15);
	tap_ok(c.n == 3 && c.w[2].kind == PH_SMTPD_WORD_ERROR, "NUL is an error");
	ph_smtpd_cmdline_split(&c, "RCPT t", 6);
	tap_ok(c.n == 2 && word_is(&c.w[1], "t"), "shorter than TO:");
	ph_smtpd_cmdline_split(&c, "NOOP x\\", 7);
	tap_ok(c.n == 2 && c.w[1].kind == PH_SMTPD_WORD_ERROR, "a backslash at the end");
	ph_smtpd_cmdline_split(&c, "", 0);
	tap_ok(c.n == 0, "nothing");
	for (size_t i = 0; i < sizeof(many); i += 2)
		memcpy(many + i, "a ", 2);
	ph_smtpd_cmdline_split(&c, many, sizeof(many));
	tap_ok(c.n == PH_SMTPD_WORDS_MAX && c.overflow, "too many words are told");
}

static void numbers(void)
{
	int64_t n = 7;

	tap_ok(ph_smtpd_number(S("9223372036854775807"), &n) == 0 && n == INT64_MAX, "2^63-1");
	tap_ok(ph_smtpd_number(S("9223372036854775808"), &n) == -ERANGE, "2^63");
	tap_ok(ph_smtpd_number(S("99999999999999999999999"), &n) == -ERANGE, "far too large");
	tap_ok(ph_smtpd_number(S(""), &n) == -EINVAL && ph_smtpd_number(S("-1"), &n) == -EINVAL && ph_smtpd_number(S("1x"), &n) == -EINVAL,
	       "empty, sign, letter");
}

static void xtext(void)
{
	char out[64];

	tap_ok(ph_smtpd_xtext_decode(S("a+2Bb"), out) == 3 && strcmp(out, "a+b") == 0, "xtext");
	tap_ok(ph_smtpd_xtext_decode(S("a+00b"), out) == -EINVAL, "NUL");
	tap_ok(ph_smtpd_xtext_decode(S("a+0Ab"), out) == -EINVAL, "LF");
	tap_ok(ph_smtpd_xtext_decode(S("a+2"), out) == -EINVAL && ph_smtpd_xtext_decode(S("a+"), out) == -EINVAL, "cut short");
	tap_ok(ph_smtpd_xtext_decode(S("a+G1"), out) == -EINVAL && ph_smtpd_xtext_decode(S("a=b"), out) == -EINVAL, "no hex, bare =");
}

static void notify(void)
{
	struct ph_slice bad;

	tap_ok(ph_smtpd_notify_parse(S("success,FAILURE,Delay"), &bad) == (PH_NOTIFY_SUCCESS | PH_NOTIFY_FAILURE | PH_NOTIFY_DELAY), "three words");
	tap_ok(ph_smtpd_notify_parse(S("NEVER"), &bad) == PH_NOTIFY_NEVER, "NEVER");
	tap_ok(ph_smtpd_notify_parse(S("NEVER,SUCCESS"), &bad) < 0, "NEVER is alone");
	tap_ok(ph_smtpd_notify_parse(S("SUCCESS,SUCCESS"), &bad) < 0, "twice");
	tap_ok(ph_smtpd_notify_parse(S("SUCCESS,"), &bad) < 0 && ph_smtpd_notify_parse(S(""), &bad) < 0, "empty words");
	tap_ok(ph_smtpd_notify_parse(S("bogus"), &bad) < 0 && bad.n == 5, "the unknown word is named");
}

static void bdat(void)
{
	struct ph_smtpd_cmdline c;
	int64_t n;
	bool last;

	ph_smtpd_cmdline_split(&c, "BDAT 12 last", 12);
	tap_ok(ph_smtpd_bdat_parse(&c, &n, &last) == 0 && n == 12 && last, "BDAT 12 last");
	ph_smtpd_cmdline_split(&c, "BDAT 12 LAST x", 14);
	tap_ok(ph_smtpd_bdat_parse(&c, &n, &last) == -EINVAL, "a word too many");
	ph_smtpd_cmdline_split(&c, "BDAT +5", 7);
	tap_ok(ph_smtpd_bdat_parse(&c, &n, &last) == -EINVAL, "a sign");
}

static void base64(void)
{
	char out[64], text[64];

	tap_ok(ph_base64_decode(S("AGFsaWNlAHNlY3JldA=="), out) == 13 && memcmp(out, "\0alice\0secret", 13) == 0, "decode");
	ph_base64_encode((struct ph_slice){ "\0alice\0secret", 13 }, text);
	tap_is(text, "AGFsaWNlAHNlY3JldA==", "encode");
	tap_ok(ph_base64_decode(S("AGF"), out) < 0 && ph_base64_decode(S("A==="), out) < 0, "bad lengths");
	tap_ok(ph_base64_decode(S("AG=s"), out) < 0 && ph_base64_decode(S("AA==AAAA"), out) < 0, "padding inside");
	tap_ok(ph_base64_decode(S("AB=="), out) < 0 && ph_base64_decode(S("A B="), out) < 0, "stray bits, bad alphabet");
	tap_ok(ph_base64_decode(S(""), out) == 0, "nothing");
}

static ssize_t proxy(const char *p, size_t n, struct ph_proxy_info *info)
{
	const char *why;
	char *copy = malloc(n ? n : 1);         /* so that a read behind the end is seen */
	ssize_t r;

	memcpy(copy, p, n);
	r = ph_proxy_parse((struct ph_slice){ copy, n }, info, &why);
	free(copy);
	return r;
}

static void proxies(void)
{
	static const char v1[] = "PROXY TCP4 192.0.2.7 192.0.2.1 1234 25\r\nEHLO";
	static const char v2[] = "\r\n\r\n\0\r\nQUIT\n\x21\x11\x00\x0c\xc0\x00\x02\x08\xc0\x00\x02\x01\x10\x00\x00\x19";
	struct ph_proxy_info i;
	bool ok = true;

	tap_ok(proxy(v1, sizeof(v1) - 1, &i) == 40 && strcmp(i.client, "192.0.2.7") == 0 && i.client_port == 1234, "version 1");
	for (size_t n = 0; n < 40; n++)
		ok = ok && proxy(v1, n, &i) == 0;
	tap_ok(ok, "version 1 in pieces");
	tap_ok(proxy(v2, sizeof(v2) - 1, &i) == 28 && strcmp(i.client, "192.0.2.8") == 0 && i.client_port == 4096, "version 2");
	ok = true;
	for (size_t n = 0; n < 28; n++)
		ok = ok && proxy(v2, n, &i) == 0;
	tap_ok(ok, "version 2 in pieces");
	tap_ok(proxy("EHLO x\r\n", 8, &i) == -EBADMSG, "no header");
}

int main(void)
{
	words();
	wire_replies();
	numbers();
	xtext();
	notify();
	bdat();
	base64();
	proxies();
	return tap_done();
}
