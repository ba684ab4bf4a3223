/* test_milter.c: the codec of the milter protocol: packets built and taken apart, replies for the client. */
#include "../../modules/filter/milter/wire.h"
#include "tap.h"

#include <stdlib.h>

static bool decode(const char *p, size_t n, struct milter_reply *r)
{
	/* A copy of the exact size, so that a tool sees a read behind its end. */
	char *copy = ph_alloc(n + 1);
	struct ph_err err;
	bool ok;

	memcpy(copy, p, n);
	copy = ph_realloc(copy, n);
	ok = milter_reply_decode(copy, n, r, &err) == 0;
	if (ok && r->s1)
		r->s1 = *r->s1 ? p + (r->s1 - copy) : "";
	if (ok && r->s2)
		r->s2 = *r->s2 ? p + (r->s2 - copy) : "";
	free(copy);
	return ok;
}
#define D(text, r) decode(text, sizeof(text) - 1, r)

static void test_replies(void)
{
	struct milter_reply r;

	tap_ok(D("c", &r) && r.command == 'c', "continue");
	tap_ok(!D("cx", &r), "N-215 continue with data");
	tap_ok(D("hA\0b\0", &r) && strcmp(r.s1, "A") == 0 && strcmp(r.s2, "b") == 0, "add a header");
	tap_ok(!D("h", &r) && !D("hA", &r) && !D("hA\0", &r) && !D("hA\0b", &r) && !D("hA\0b\0c\0", &r), "N-218 headers that are cut or too long");
	tap_ok(D("i\0\0\1\2A\0\0", &r) && r.index == 258 && !*r.s2, "insert a header");
	tap_ok(!D("i\0\0\1", &r) && !D("m\0\0\0\1", &r), "N-218 index without a header");
	tap_ok(D("+a@b\0", &r) && strcmp(r.s1, "a@b") == 0, "add a recipient");
	tap_ok(!D("+a@b", &r) && !D("+", &r) && !D("+a\0b\0", &r), "N-220 recipients that are none");
	tap_ok(D("2a\0X=1\0", &r) && strcmp(r.s2, "X=1") == 0 && D("2a\0", &r) && !r.s2, "arguments may be missing");
	tap_ok(D("b", &r) && r.n == 0 && D("bxy", &r) && r.n == 2, "bodies");
	tap_ok(D("y550 x", &r) && !*r.s1 && D("y", &r) && !*r.s1, "N-216 a reply text without its end is no text");
	tap_ok(D("Zabc", &r) == false, "an unknown command with data");
}

static void test_offers(void)
{
	static const char good[] = "\0\0\0\6\0\0\1\377\0\0\0\1\0\0\0\2i j\0\0\0\0\77x\0";
	struct milter_offer o;
	struct ph_err err;

	tap_ok(milter_offer_decode(good, sizeof(good) - 1, &o, &err) == 0 && o.version == 6 && o.actions == 0x1ff && o.protocol == 1, "an offer");
	tap_ok(o.macros[2] && strcmp(o.macros[2], "i j") == 0 && o.unknown_stage == 63, "N-223 lists of macros, known and unknown");
	for (size_t n = 0; n < 12; n++)
		if (milter_offer_decode(good, n, &o, &err) == 0)
			tap_ok(false, "N-223 an offer of %zu bytes", n);
	tap_ok(milter_offer_decode(good, 17, &o, &err) < 0, "N-223 a list without its end");
}

static const char *smtp(struct ph_arena *a, const char *text)
{
	struct milter_smtp s;

	if (milter_smtp_parse(text, a, &s) < 0)
		return "bad";
	return ph_arena_printf(a, "%d|%s|%s%s", s.code, s.dsn, s.text, s.verbatim ? "|verbatim" : "");
}

static void test_smtp(void)
{
	static const char *const bad[] = { "", "5", "550", "550 ", "250 x", "abc", "450 5.7.1 x", "550-a", "550-a\r\n451 b", "550 a\nb", "550-a\r\nb", "5a0 x", "550x" };
	struct ph_arena *a = ph_arena_new();

	tap_is(smtp(a, "550 5.7.1 no"), "550|5.7.1|no", "one line");
	tap_is(smtp(a, "550 no"), "550||no|verbatim", "without enhanced code");
	tap_is(smtp(a, "550-5.7.1 a\r\n550 5.7.1 b"), "550||5.7.1 a\n5.7.1 b|verbatim", "two lines");
	tap_is(smtp(a, "421 4.3.2 bye\r\n"), "421|4.3.2|bye", "a line end at the end");
	tap_is(smtp(a, "550 5.755"), "550||5.755|verbatim", "N-216 an enhanced code that is cut");
	tap_is(smtp(a, "550 5.7."), "550||5.7.|verbatim", "N-216 an enhanced code that is cut");
	tap_is(smtp(a, "550 5.7.1 100%% %d%"), "550|5.7.1|100% d", "N-216 marks of formats");
	for (size_t i = 0; i < PH_ARRAY_LEN(bad); i++)
		tap_is(smtp(a, bad[i]), "bad", "N-216 malformed reply");
	ph_arena_free(&a);
}

static void test_body(void)
{
	struct ph_buf b = PH_BUF_INIT(1 << 20);
	bool cr = false;
	size_t p = milter_begin(&b, 'B'), n, big = 70000;
	char *text = ph_alloc(big);

	n = milter_put_body(&b, p, "a\n\nb", 4, &cr);
	milter_end(&b, p);
	tap_ok(n == 4 && b.len == 11 && memcmp(b.data, "\0\0\0\7Ba\r\n\r\nb", 11) == 0, "LF becomes CR LF");
	ph_buf_clear(&b);
	memset(text, '\n', big);
	p = milter_begin(&b, 'B');
	n = milter_put_body(&b, p, text, big, &cr);
	tap_ok(b.len == 5 + MILTER_CHUNK_SIZE && n == MILTER_CHUNK_SIZE / 2 && cr && b.data[b.len - 1] == '\r', "a packet may end between CR and LF");
	ph_buf_clear(&b);
	p = milter_begin(&b, 'B');
	milter_put_body(&b, p, text + n, 1, &cr);
	tap_ok(!cr && b.len == 6 && b.data[5] == '\n', "and the next begins with the LF");
	ph_buf_done(&b);
	free(text);
}

int main(void)
{
	test_replies();
	test_offers();
	test_smtp();
	test_body();
	return tap_done();
}
