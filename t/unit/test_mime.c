/* The structure of MIME messages, and the conversion to 7 bit.  Notifications' templates. */
#include "message/bounce_template.h"
#include "message/mime.h"
#include "tap.h"

#include <errno.h>
#include <posthouse/message.h>
#include <stdlib.h>
#include <unistd.h>

static struct ph_arena *arena;

static void collect(void *arg, const char *line, size_t n)
{
	ph_buf_append(arg, line, n);
	ph_buf_putc(arg, '\n');
}

static const char *downgrade(const char *text)
{
	struct ph_buf out = PH_BUF_INIT(1 << 20);
	struct ph_mime_downgrade *d = ph_mime_downgrade_new(collect, &out);
	const char *r;

	ph_mime_downgrade_feed(d, text, strlen(text));
	ph_mime_downgrade_end(&d);
	r = ph_arena_strndup(arena, ph_buf_str(&out), out.len);
	ph_buf_done(&out);
	return r;
}

static void test_downgrade(void)
{
	tap_is(downgrade("Mime-Version: 1.0\nContent-Transfer-Encoding: 8bit\nSubject: s\n\ncaf\xc3\xa9 = \ntab\t\n"),
	       "Mime-Version: 1.0\nSubject: s\nContent-Transfer-Encoding: quoted-printable\n\ncaf=C3=A9 =3D=20\ntab=09\n", "a plain message");
	tap_is(downgrade("Content-Type: text/plain\nContent-Transfer-Encoding: base64\n\nQUJD=\n"),
	       "Content-Type: text/plain\nContent-Transfer-Encoding: base64\n\nQUJD=\n", "base64 passes");
	tap_is(downgrade("Subject: x\n\na=b\n"), "Subject: x\n\na=b\n", "7-bit mail without MIME passes");
	tap_is(downgrade("Content-Type: multipart/mixed; boundary=\"b\"\nContent-Transfer-Encoding: 8bit\n\npre\n--b\nContent-Transfer-Encoding: 8bit\n\n\xe9=\n--b\n"
			 "Content-Type: text/plain\n\na=b\n--b--\nend=\n"),
	       "Content-Type: multipart/mixed; boundary=\"b\"\nContent-Transfer-Encoding: 7bit\n\npre\n--b\nContent-Transfer-Encoding: quoted-printable\n\n=E9=3D\n--b\n"
	       "Content-Type: text/plain\n\na=b\n--b--\nend=\n", "multipart: only what is declared");
	tap_is(downgrade("Content-Type: message/rfc822\nContent-Transfer-Encoding: 8bit\n\nSubject: in\nContent-Transfer-Encoding: 8bit\n\n\xe9\n"),
	       "Content-Type: message/rfc822\nContent-Transfer-Encoding: 7bit\n\nSubject: in\nContent-Transfer-Encoding: quoted-printable\n\n=E9\n", "attached message");
	tap_is(downgrade("Content-Transfer-Encoding: 8bit\n\n1234567890123456789012345678901234567890123456789012345678901234567890123\xe9z\n"),
	       "Content-Transfer-Encoding: quoted-printable\n\n1234567890123456789012345678901234567890123456789012345678901234567890123=\n=E9z\n", "long lines");
	tap_is(downgrade("Content-Transfer-Encoding:\n 8bit\nX: y"), "X: y\nContent-Transfer-Encoding: quoted-printable\n", "headers only, folded");
}

/* The states after each line, as letters: P primary, p part, N nested, B body. */
static const char *states(unsigned limit, const char *text)
{
	struct ph_mime m;
	static char out[2000];
	char *q = out;

	ph_mime_init(&m, arena, true, limit, 2048);
	while (*text && q < out + sizeof(out) - 2) {
		size_t n = strcspn(text, "\n"), name = 0;
		const char *colon = memchr(text, ':', n);

		if (m.state != PH_MIME_BODY) {
			name = colon ? (size_t)(colon - text) : 0;
			if (name)
				ph_mime_header(&m, text, name, colon + 1, n - name - 1);
			else
				ph_mime_headers_end(&m);
		}
		if (!name && n)
			ph_mime_is_boundary(&m, text, n);
		*q++ = "PpNB"[m.state];
		text += n + (text[n] == '\n');
	}
	*q = '\0';
	return out;
}

static void test_structure(void)
{
	char deep[20000], *p = deep;

	tap_is(states(100, "Content-Type: multipart/mixed; boundary=a\n\nx\n--a\nX: y\n\nz\n--a--\nend\n"), "PBBppBBBB", "multipart");
	tap_is(states(100, "Content-Type: MultiPart/x; charset=x; Boundary=\"a b\\\"c\" (comment)\n\n--a b\"c\n"), "PBp", "quoted boundary");
	tap_is(states(100, "Content-Type: multipart/x; boundary=a/b=c.d\n\n--a/b=c.d\n"), "PBp", "boundary with odd characters");
	tap_is(states(100, "Content-Type: multipart/x; boundary=\"\"\n\n--\n--x\n"), "PBBB", "empty boundary is none");
	tap_is(states(100, "Content-Type: multipart/x;\n\n--x\n"), "PBB", "no boundary");
	tap_is(states(100, "Content-Type: text/plain; boundary=a\n\n--a\n"), "PBB", "not multipart");
	tap_is(states(100, "Content-Type: message/rfc822\n\nContent-Type: multipart/x; boundary=a\n\n--a\n\n--a--\n"), "PNNBpBB", "message in message");
	tap_is(states(100, "Content-Type: multipart/x; boundary=a\n\n--a\nContent-Type: multipart/x; boundary=ab\n\n--ab\n\n--a\n\n"), "PBppBpBpB", "a boundary that begins like another");
	tap_is(states(100, "Content-Type: multipart/digest; boundary=a\n\n--a\n\nSubject: x\n\n"), "PBpNNB", "parts of a digest are messages");
	tap_is(states(100, "Content-Type: multipart/x; boundary=a\nContent-Type: multipart/x; boundary=b\nContent-Type: text/plain\n\n--b\n--a\n"), "PPPBBp", "the first boundary counts");
	tap_is(states(100, "Content-Type: message/rfc822\nContent-Transfer-Encoding: base64\n\nX: y\n\n"), "PPNNB", "a message that says it is base64");
	for (int i = 0; i < 500; i++)
		p += sprintf(p, "Content-Type: message/rfc822\n\n");
	tap_ok(strlen(states(10, deep)) == 1000 && strchr(states(10, deep), 'B') == states(10, deep) + 25, "nesting ends two behind the limit");
}

/* A quoted boundary with a NUL: what follows it is no part of the text that is compared. */
static void test_nul(void)
{
	static const char value[] = " multipart/mixed; boundary=\"a\0bcdefghijklmnop\"", empty[] = " multipart/mixed; boundary=\"\0x\"";
	struct ph_mime m;

	ph_mime_init(&m, arena, true, 100, 2048);
	ph_mime_header(&m, "Content-Type", 12, value, sizeof value - 1);
	tap_ok(m.boundary_n == 1 && strcmp(m.boundary, "a") == 0, "a boundary with a NUL in it: %zu bytes", m.boundary_n);
	ph_mime_headers_end(&m);
	tap_ok(ph_mime_is_boundary(&m, "--a", 3), "it is found");
	ph_mime_init(&m, arena, true, 100, 2048);
	ph_mime_header(&m, "Content-Type", 12, empty, sizeof empty - 1);
	tap_ok(m.boundary_n == 0, "one that begins with it is none");
}

static void test_templates(void)
{
	static const char good[] = "# comment\nfailure_template = <<EOF\nCharset: us-ascii\nFrom: X (Y)\nSubject: s: t\nPostmaster-Subject: p\n\nbody $x\n\nEOF\n# rest\n";
	struct ph_bounce_template t[PH_BOUNCE_KINDS], builtin[PH_BOUNCE_KINDS];
	struct ph_err err;

	ph_bounce_template_builtin(builtin);
	ph_bounce_template_builtin(t);
	tap_ok(ph_bounce_template_parse(good, "file", arena, t, &err) == 0, "a template");
	tap_is(t[PH_BOUNCE_FAILURE].subject, "s: t", "its subject");
	tap_is(t[PH_BOUNCE_FAILURE].body, "body $x\n\n", "its body");
	tap_ok(t[PH_BOUNCE_DELAY].body == builtin[PH_BOUNCE_DELAY].body && t[PH_BOUNCE_DELAY].builtin, "what is not there is built in");
	ph_bounce_template_builtin(t);
	ph_bounce_template_parse("failure_template = <<EOF\nSubject: u\n\n\xff\nEOF\n", "file", arena, t, &err);
	tap_is(t[PH_BOUNCE_FAILURE].from, builtin[PH_BOUNCE_FAILURE].from, "so is its author");
	tap_is(t[PH_BOUNCE_FAILURE].body, "\xff\n", "text in another character set");
	ph_bounce_template_parse("failure_template = <<EOF\nSubject: no\nBad: X\n\ntext\nEOF\ndelay_template = word\n", "file", arena, t, &err);
	tap_is(t[PH_BOUNCE_FAILURE].subject, "u", "one with an unknown header is ignored");
	tap_is(t[PH_BOUNCE_DELAY].body, "word\n", "and does not hide the next");
	tap_ok(ph_bounce_template_parse("failure_template = <<EOF\nFrom: X\n\nno end", "file", arena, t, &err) < 0, "without end");
	tap_ok(ph_bounce_template_parse("failure_template = <<EOF\nSubject: new\n\ntext\nEOF\njunk\n", "file", arena, t, &err) < 0, "junk");
	tap_is(t[PH_BOUNCE_FAILURE].subject, "u", "nothing of a damaged file counts");
}

static char tmp_name[] = "/tmp/ph-template.XXXXXX";

/* N-286: a file beyond all bounds, one that is not there, and names that mean each other. */
static void test_bad_files(void)
{
	struct ph_bounce_template t[PH_BOUNCE_KINDS], builtin[PH_BOUNCE_KINDS];
	struct ph_config *c = NULL;
	struct ph_err err = { 0 };
	int fd = mkstemp(tmp_name);
	FILE *f = fdopen(fd, "w");

	ph_bounce_template_builtin(builtin);
	ph_bounce_template_builtin(t);
	fputs("failure_template = <<EOF\nSubject: huge\n\n", f);
	for (int i = 0; i < 1 << 20; i += 64)
		fprintf(f, "%063d\n", i);
	fputs("EOF\n", f);
	fclose(f);
	tap_ok(ph_bounce_template_read(tmp_name, arena, t, &err) == -EFBIG, "N-286 a file of 1 MB is refused: %s", err.text);
	tap_is(t[PH_BOUNCE_FAILURE].subject, builtin[PH_BOUNCE_FAILURE].subject, "N-286 and what is built in stays");
	if (ph_config_parse(ph_arena_printf(arena, "myhostname = h.test\nbounce_template_file = %s\nx_one = $x_two\nx_two = ${x_one}\n", tmp_name), "", &c, &err) < 0)
		printf("Bail out! %s\n", err.text);
	tap_is(ph_bounce_template(ph_config_main(c), PH_BOUNCE_FAILURE)->subject, builtin[PH_BOUNCE_FAILURE].subject, "N-286 a notification has the built-in text then");
	t[PH_BOUNCE_FAILURE].body = "a $x_one $nosuchname $ $$ ${x_two b $(x_one) ${ $";
	tap_ok(strncmp(ph_bounce_template_text(ph_config_main(c), arena, &t[PH_BOUNCE_FAILURE]), "a ", 2) == 0, "N-286 names that mean each other end");
	t[PH_BOUNCE_FAILURE].body = ph_arena_alloc(arena, 256 * 1024);
	for (char *p = (char *)(uintptr_t)t[PH_BOUNCE_FAILURE].body; p < t[PH_BOUNCE_FAILURE].body + 200 * 1024; p += 12)
		memcpy(p, "$myhostname ", 12);
	tap_ok(strlen(ph_bounce_template_text(ph_config_main(c), arena, &t[PH_BOUNCE_FAILURE])) > 100000, "N-286 a long text with many names");
	f = fopen(tmp_name, "w");
	fputs("failure_template = <<EOF\nSubject: hole\n\nsay $nosuchname\nEOF\ndelay_template = <<EOF\nSubject: good\n\n$$nosuchname ${delay_warning_time_hours} $myhostname\nEOF\n", f);
	fclose(f);
	ph_config_free(&c);
	if (ph_config_parse(ph_arena_printf(arena, "myhostname = h.test\nbounce_template_file = %s\n", tmp_name), "", &c, &err) < 0)
		printf("Bail out! %s\n", err.text);
	tap_is(ph_bounce_template(ph_config_main(c), PH_BOUNCE_FAILURE)->subject, builtin[PH_BOUNCE_FAILURE].subject, "N-286 a name that nobody knows: the built-in text");
	tap_is(ph_bounce_template(ph_config_main(c), PH_BOUNCE_DELAY)->subject, "good", "N-286 and the next template counts");
	unlink(tmp_name);
	ph_config_free(&c);
}

int main(void)
{
	arena = ph_arena_new();
	test_downgrade();
	test_structure();
	test_nul();
	test_templates();
	test_bad_files();
	ph_arena_free(&arena);
	return tap_done();
}
