/* The small parts of core/base: errors, arenas, buffers, text, lists, tables, heaps, checksums, packing, ids. */
#include <config.h>

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/crc32c.h"
#include "base/format.h"
#include "base/heap.h"
#include "base/htab.h"
#include "base/list.h"
#include "base/pack.h"
#include "base/queue_id.h"
#include "base/time.h"
#include "tap.h"

static void test_err(void)
{
	struct ph_err err;
	char *big = ph_alloc(1000);

	tap_ok(ph_err_set(NULL, -EINVAL, "x") == -EINVAL, "no err wanted");
	tap_ok(ph_err_set(&err, -EPROTO, "bad %s", "thing") == -EPROTO && err.code == -EPROTO, "code");
	tap_is(err.text, "bad thing", "text");
	ph_err_errno(&err, -ENOENT, "open %s", "/x");
	tap_is(err.text, "open /x: No such file or directory", "errno's text");
	memset(big, 'a', 999);
	ph_err_set(&err, -1, "%s", big);
	tap_ok(strlen(err.text) == 511 && strcmp(err.text + 508, "...") == 0, "cut, and marked");
	ph_err_errno(&err, -ENOENT, "%s", big);
	tap_ok(strlen(err.text) == 511 && strcmp(err.text + 508, "...") == 0, "cut with errno");
	free(big);
}

/* Through a pointer: gcc would warn of what is cut on purpose. */
static int (*volatile libc_snprintf)(char *, size_t, const char *, ...) = snprintf;

/* The same text, result and bytes behind it as libc's, for each size of the buffer. */
#define SAME(...) do { \
	char a_[64], b_[64]; \
	bool same_ = true; \
	for (size_t n_ = 0; n_ <= 40; n_++) { \
		memset(a_, 'x', sizeof(a_)); \
		memset(b_, 'x', sizeof(b_)); \
		same_ = ph_snprintf(n_ ? a_ : NULL, n_, __VA_ARGS__) == libc_snprintf(n_ ? b_ : NULL, n_, __VA_ARGS__) && memcmp(a_, b_, 64) == 0 && same_; \
	} \
	tap_ok(same_, "as snprintf: %s", #__VA_ARGS__); \
} while (0)

static void test_format(void)
{
	const char *none = getenv("PH_NO_SUCH_VARIABLE");

	SAME("%s", "");
	SAME("%%nothing to do%%");
	SAME("%s and %s, %c", "one", "two", '3');
	SAME("%.3s|%.*s|%.*s|%.0s|%.s", "abcdef", 2, "abcdef", -1, "all", "none", "none");
	SAME("%d %i %u %d", 0, -1, UINT_MAX, INT_MIN);
	SAME("%ld %lu %lld %llu", LONG_MIN, ULONG_MAX, LLONG_MIN, ULLONG_MAX);
	SAME("%zu %zd %d", SIZE_MAX, (ssize_t)-5, INT_MAX);
	SAME("%s %.3s %.6s", none, none, none);
	SAME("%5d|%-5s|%02x|%lx %s", 1, "a", 10, 1000L, "libc's");
	SAME("%.2f %s %p %#o", 1.5, "x", (void *)&none, 8u);
	SAME("%.3d %hhd %jd %d", 5, (signed char)-3, (intmax_t)7, 9);
	errno = ENOENT;
	SAME("%m: %s", "x");
}

static void note(void *arg)
{
	static int order;

	*(int *)arg = ++order;
}

static void test_arena(void)
{
	struct ph_arena *a = ph_arena_new();
	int first = 0, second = 0, i;
	bool aligned = true, zero = true;
	char *p, *s;
	size_t k;

	ph_arena_cleanup(a, note, &second);
	ph_arena_cleanup(a, note, &first);
	for (i = 1; i < 3000; i += 7) {
		p = ph_arena_alloc(a, (size_t)i);
		aligned = aligned && ((uintptr_t)p & 15) == 0;
		for (k = 0; k < (size_t)i; k++)
			zero = zero && p[k] == 0;
		memset(p, 0xff, (size_t)i);
	}
	tap_ok(aligned && zero, "aligned and zeroed");
	tap_is(ph_arena_printf(a, "%d-%s", 5, "x"), "5-x", "printf");
	s = ph_arena_strndup(a, "abcdef", 3);
	tap_is(s, "abc", "strndup");
	p = ph_arena_alloc(a, 100000);
	memset(p, 1, 100000);
	tap_is(s, "abc", "a large block leaves the others alone");
	tap_ok(ph_arena_bytes(a) >= 100000, "bytes are counted");
	ph_arena_reset(a);
	tap_ok(first == 1 && second == 2, "clean-ups run, last added first");
	tap_ok(ph_arena_bytes(a) == 0, "nothing left after reset");
	p = ph_arena_alloc(a, 500);
	for (k = 0, zero = true; k < 500; k++)
		zero = zero && p[k] == 0;
	tap_ok(zero, "zeroed after a reset, too");
	ph_arena_free(&a);
	tap_ok(a == NULL, "freed");
	ph_arena_free(&a);
}

static void test_buf(void)
{
	struct ph_buf b = PH_BUF_INIT(100);
	char text[200];

	tap_is(ph_buf_str(&b), "", "empty is a string");
	tap_ok(ph_buf_puts(&b, "hello") == 0 && ph_buf_printf(&b, " %s %d", "world", 7) == 0, "append and print");
	tap_is(ph_buf_str(&b), "hello world 7", "contents");
	ph_buf_consume(&b, 6);
	tap_is(ph_buf_str(&b), "world 7", "consumed");
	memset(text, 'x', sizeof(text));
	tap_ok(ph_buf_append(&b, text, 94) == -ENOBUFS && b.len == 7, "bounded: nothing appended");
	tap_ok(ph_buf_append(&b, text, 93) == 0 && b.len == 100, "exactly full");
	tap_ok(ph_buf_putc(&b, 'y') == -ENOBUFS, "not one more");
	tap_ok(ph_buf_printf(&b, "%d", 1) == -ENOBUFS && strlen(b.data) == 100, "nor printed");
	tap_ok(ph_buf_append(&b, text, SIZE_MAX - 5) == -ENOBUFS, "sizes that overflow");
	tap_ok(ph_buf_printf(&b, "%s", "") == 0, "nothing always fits");
	ph_buf_clear(&b);
	tap_ok(b.len == 0 && b.data && *ph_buf_str(&b) == '\0', "cleared");
	text[sizeof(text) - 1] = '\0';
	tap_ok(ph_buf_printf(&b, "%s", text) == -ENOBUFS && b.len == 0 && *b.data == '\0', "too long to print: unchanged");
	ph_buf_done(&b);
	ph_buf_done(&b);
	tap_ok(ph_buf_puts(&b, "again") == 0, "reusable");
	ph_buf_done(&b);
}

static void tokens(const char *in, const char *want)
{
	char *copy = ph_strdup(in), *cursor = copy, *t;
	struct ph_buf b = PH_BUF_INIT(1000);

	while ((t = ph_str_token(&cursor, PH_SEP_LIST)) != NULL)
		ph_buf_printf(&b, "%s%s", b.len ? "|" : "", t);
	tap_is(ph_buf_str(&b), want, in);
	ph_buf_done(&b);
	free(copy);
}

static const char *unbrace(const char *in)
{
	static char copy[64];

	snprintf(copy, sizeof(copy), "%s", in);
	return ph_str_unbrace(copy);
}

static void test_str(void)
{
	struct ph_arena *a = ph_arena_new();
	char text[] = "AbC\xc3\x84";
	int64_t v = 0;

	tokens("a, b\tc  ,,d", "a|b|c|d");
	tokens(" , ", "");
	tokens("x { a, { b } } y", "x|{ a, { b } }|y");
	tokens("inline:{ {a=b}, c=d } next", "inline:{ {a=b}, c=d }|next");
	tokens("a { b, c", "a|{ b, c");
	tokens("a } b", "a|}|b");
	tap_is(unbrace("{ a b }"), "a b", "unbrace");
	tap_is(unbrace("{a} {b}"), "{a} {b}", "two groups are not one");
	tap_is(unbrace("{}"), "", "empty");
	tap_is(unbrace("{"), "{", "alone");
	tap_is(ph_str_lower(text), "abc\xc3\x84", "only ASCII is folded");
	tap_ok(ph_str_ieq("Foo", "fOO") && !ph_str_ieq("foo", "foobar") && !ph_str_ieq("foobar", "foo"), "ieq");
	tap_ok(ph_str_istarts("MAIL FROM:", "mail ") && !ph_str_istarts("MA", "mail"), "istarts");
	tap_is(ph_str_printable(a, "a\r\n\x80z", 5, true), "a???z", "printable");
	tap_is(ph_str_printable(a, "\xc3\xa4\xff", 3, true), "\xc3\xa4?", "UTF-8 kept");
	tap_is(ph_str_printable(a, "\xc3\xa4", 2, false), "??", "or not");
	tap_ok(ph_utf8_valid("gr\xc3\xbc\xc3\x9f \xf0\x9f\x98\x80", 11), "valid UTF-8");
	tap_ok(!ph_utf8_valid("\xc0\xaf", 2) && !ph_utf8_valid("\xed\xa0\x80", 3) && !ph_utf8_valid("\xf4\x90\x80\x80", 4) &&
	       !ph_utf8_valid("\xe0\x80\x80", 3) && !ph_utf8_valid("\xc3", 1) && !ph_utf8_valid("\x80", 1), "invalid UTF-8");
	tap_ok(ph_str_int64("-42", -100, 100, &v) == 0 && v == -42, "number");
	tap_ok(ph_str_int64("9223372036854775807", 0, INT64_MAX, &v) == 0 && v == INT64_MAX, "largest");
	tap_ok(ph_str_int64("-9223372036854775808", INT64_MIN, 0, &v) == 0 && v == INT64_MIN, "smallest");
	tap_ok(ph_str_int64("9223372036854775808", INT64_MIN, INT64_MAX, &v) == -ERANGE, "one too many");
	tap_ok(ph_str_int64("101", 0, 100, &v) == -ERANGE && ph_str_int64("99999999999999999999x", 0, 9, &v) == -EINVAL,
	       "range, garbage");
	tap_ok(ph_str_int64("", 0, 1, &v) == -EINVAL && ph_str_int64("-", 0, 1, &v) == -EINVAL &&
	       ph_str_int64("+1", 0, 1, &v) == -EINVAL && ph_str_int64(" 1", 0, 1, &v) == -EINVAL, "strict");
	ph_arena_free(&a);
}

/* What Unicode folds, and what must stay as it is. */
static void test_fold(void)
{
	struct ph_arena *a = ph_arena_new();

	tap_is(ph_str_fold(a, "ABC@Example.COM", true), "abc@example.com", "ASCII");
	tap_is(ph_str_fold(a, "X\xc3\x84\xff", true), "x\xc3\x84\xff", "not UTF-8: ASCII alone is folded");
	tap_is(ph_str_fold(a, "X\xc3\x84", false), "x\xc3\x84", "switched off");
	tap_ok(ph_str_fold_eq("Foo", "fOO", false) && !ph_str_fold_eq("foo", "fo", true), "equal, ASCII");
#ifdef HAVE_UNISTRING
	tap_is(ph_str_fold(a, "X\xc3\x84", true), "x\xc3\xa4", "Latin");
	tap_is(ph_str_fold(a, "Stra\xc3\x9f" "e", true), "strasse", "one letter becomes two");
	tap_is(ph_str_fold(a, "\xce\xa3\xcf\x82\xcf\x83", true), "\xcf\x83\xcf\x83\xcf\x83", "three forms of sigma");
	tap_is(ph_str_fold(a, "\xd0\x9f\xd0\x9e\xd0\xa7", true), "\xd0\xbf\xd0\xbe\xd1\x87", "Cyrillic");
	tap_ok(ph_str_fold_eq("\xc3\x84" "a", "\xc3\xa4" "A", true) && !ph_str_fold_eq("\xc3\x84", "\xc3\xa4", false), "equal");
	tap_ok(!ph_str_fold_eq("\xc3\x84", "\xc3\x84\xff", true), "valid and not valid are two");
#endif
	ph_arena_free(&a);
}

struct item {
	int value;
	struct ph_list node;
	struct ph_heap_node heap;
	char key[16];
};

static void test_list(void)
{
	struct ph_list head = PH_LIST_INIT(head), other = PH_LIST_INIT(other);
	struct item v[5];
	int i, sum = 0;

	for (i = 0; i < 5; i++) {
		v[i].value = i;
		ph_list_append(i < 3 ? &head : &other, &v[i].node);
	}
	ph_list_splice(&head, &other);
	tap_ok(ph_list_empty(&other), "splice empties its source");
	ph_list_for_each_safe(it, &head, struct item, node) {
		sum = sum * 10 + it->value;
		if (it->value % 2)
			ph_list_del(&it->node);
	}
	tap_ok(sum == 1234, "order, deleting on the way");
	ph_list_del(&v[1].node);
	tap_ok(ph_list_first(&head, struct item, node)->value == 0 && ph_list_last(&head, struct item, node)->value == 4,
	       "first and last");
	tap_ok(ph_list_pop(&head) == &v[0].node && ph_list_pop(&other) == NULL, "pop");
}

static void test_htab(void)
{
	enum { N = 20000 };
	static struct item v[N];
	struct ph_htab t = { 0 };
	size_t cursor = 0, seen = 0;
	const char *key;
	struct item *it;
	int i, good = 0;

	tap_ok(ph_htab_get(&t, "x") == NULL && ph_htab_del(&t, "x") == NULL, "empty");
	for (i = 0; i < N; i++) {
		snprintf(v[i].key, sizeof(v[i].key), "key%d", i);
		ph_htab_put(&t, v[i].key, &v[i]);
	}
	tap_ok(ph_htab_put(&t, v[7].key, &v[7]) == &v[7] && t.n == N, "putting again replaces");
	for (i = 0; i < N; i += 3)
		good += ph_htab_del(&t, v[i].key) == &v[i];
	for (i = 0; i < N; i++)
		good += ph_htab_get(&t, v[i].key) == (i % 3 ? &v[i] : NULL);
	tap_ok(good == N + (N + 2) / 3, "deleted ones are gone, the others are found");
	while ((it = ph_htab_next(&t, &cursor, &key)) != NULL) {
		seen++;
		if (key != it->key)
			seen = 0;
	}
	tap_ok(seen == t.n, "a walk sees each once");
	for (cursor = 0; ph_htab_next(&t, &cursor, NULL);)
		ph_htab_del_at(&t, &cursor);
	tap_ok(t.n == 0, "deleting during a walk misses none");
	tap_ok(ph_htab_getn(&t, "key1xyz", 4) == NULL, "length counts");
	ph_htab_putn(&t, "key1xyz", 4, &v[1]);
	tap_ok(ph_htab_get(&t, "key1") == &v[1], "keys with a length");
	ph_htab_done(&t);
}

static void test_heap(void)
{
	enum { N = 2000 };
	static struct item v[N];
	struct ph_heap h = { 0 };
	struct ph_heap_node *n;
	int64_t last = INT64_MIN;
	int i, count = 0;
	bool sorted = true;

	srand(7);
	for (i = 0; i < N; i++)
		ph_heap_set(&h, &v[i].heap, rand() % 1000);
	for (i = 0; i < N; i += 2)
		ph_heap_set(&h, &v[i].heap, rand() % 1000);
	for (i = 0; i < N; i += 5)
		ph_heap_del(&h, &v[i].heap);
	ph_heap_del(&h, &v[0].heap);
	while ((n = ph_heap_pop(&h)) != NULL) {
		sorted = sorted && n->key >= last && !ph_heap_has(n);
		last = n->key;
		count++;
	}
	tap_ok(sorted && count == N - N / 5, "comes out in order, %d of them", count);
	ph_heap_done(&h);
}

static void test_crc(void)
{
	static unsigned char buf[4096];
	unsigned char zeros[32] = { 0 }, ones[32];
	size_t i, bad = 0;
	uint32_t c;

	memset(ones, 0xff, sizeof(ones));
	tap_ok(ph_crc32c(0, "123456789", 9) == 0xe3069283u, "check value");
	tap_ok(ph_crc32c(0, zeros, 32) == 0x8a9136aau && ph_crc32c(0, ones, 32) == 0x62a8ab43u, "RFC 3720's examples");
	for (i = 0; i < sizeof(buf); i++)
		buf[i] = (unsigned char)(i * 31 + i / 7);
	for (i = 0; i < 300; i++)
		bad += ph_crc32c(5, buf + i % 9, i) != ph_crc32c_table(5, buf + i % 9, i);
	tap_ok(bad == 0, "instruction and tables agree");
	c = ph_crc32c(0, buf, 1000);
	tap_ok(ph_crc32c(c, buf + 1000, 3096) == ph_crc32c(0, buf, 4096), "in parts");
}

static void test_pack(void)
{
	struct ph_arena *a = ph_arena_new();
	struct ph_buf b = PH_BUF_INIT(1000);
	struct ph_unpack u;
	struct ph_slice s;
	size_t cut, bad = 0;

	ph_pack_u8(&b, 200);
	ph_pack_u16(&b, 0xabcd);
	ph_pack_u32(&b, 0xdeadbeef);
	ph_pack_u64(&b, 0x0123456789abcdefull);
	ph_pack_i64(&b, -5);
	ph_pack_str(&b, "text");
	ph_pack_str(&b, NULL);
	ph_pack_bytes(&b, "\0\1", 2);
	tap_ok(memcmp(b.data, "\xc8\xcd\xab\xef\xbe\xad\xde", 7) == 0, "little-endian");
	ph_unpack_init(&u, (struct ph_slice){ b.data, b.len });
	tap_ok(ph_unpack_u8(&u) == 200 && ph_unpack_u16(&u) == 0xabcd && ph_unpack_u32(&u) == 0xdeadbeef &&
	       ph_unpack_u64(&u) == 0x0123456789abcdefull && ph_unpack_i64(&u) == -5, "numbers");
	tap_is(ph_unpack_str(&u, a), "text", "text");
	tap_is(ph_unpack_str(&u, a), "", "NULL becomes empty");
	s = ph_unpack_bytes(&u);
	tap_ok(s.n == 2 && ph_unpack_done(&u), "bytes, and nothing left");
	tap_ok(ph_unpack_u8(&u) == 0 && u.bad, "behind the end");
	for (cut = 0; cut < b.len; cut++) {
		ph_unpack_init(&u, (struct ph_slice){ b.data, cut });
		ph_unpack_raw(&u, 23);
		ph_unpack_str(&u, a);
		ph_unpack_str(&u, a);
		ph_unpack_bytes(&u);
		bad += u.bad;
	}
	tap_ok(bad == b.len, "every truncation is noticed");
	ph_buf_clear(&b);
	ph_pack_bytes(&b, "a\0b", 3);
	ph_unpack_init(&u, (struct ph_slice){ b.data, b.len });
	tap_ok(*ph_unpack_str(&u, a) == '\0' && u.bad, "NUL in a text");
	ph_buf_done(&b);
	ph_buf_init(&b, 6);
	tap_ok(ph_pack_str(&b, "abc") == -ENOBUFS && b.len == 0, "all or nothing");
	ph_buf_done(&b);
	ph_arena_free(&a);
}

static void test_queue_id(void)
{
	char id[PH_QUEUE_ID_MAX], last[PH_QUEUE_ID_MAX] = "";
	struct ph_htab seen = { 0 };
	bool ordered = true, valid = true;
	struct ph_arena *a = ph_arena_new();
	int i;

	ph_queue_id_init(0xa7);
	for (i = 0; i < 2000; i++) {
		ph_queue_id_new(id, false);
		valid = valid && strlen(id) == 14 && ph_queue_id_valid(id) && strcmp(id + 12, "A7") == 0;
		ph_htab_put(&seen, ph_arena_strdup(a, id), id);
	}
	tap_ok(valid, "short form: %s", id);
	tap_ok(seen.n == 2000, "all different");
	for (i = 0; i < 2000; i++) {
		ph_queue_id_new(id, true);
		ordered = ordered && strcmp(id, last) > 0;
		valid = valid && strlen(id) == 15 && ph_queue_id_valid(id);
		strcpy(last, id);
	}
	tap_ok(ordered && valid, "long form sorts by time: %s", id);
	tap_ok(ph_queue_id_valid("3C1F52A0B7") && ph_queue_id_valid("3Pt2mN2VXxznjll"), "Postfix's own");
	tap_ok(!ph_queue_id_valid("") && !ph_queue_id_valid("ABC") && !ph_queue_id_valid("../../etc") &&
	       !ph_queue_id_valid("abcdef0123") && !ph_queue_id_valid("3C1F52A0B/") &&
	       !ph_queue_id_valid("3Pt2mN2VXxznjlljdklsjdklsjdklsdjlskdjslk") && !ph_queue_id_valid("3Pt2mN2VXxz"), "others");
	ph_htab_done(&seen);
	ph_arena_free(&a);
}

static void test_time(void)
{
	tap_ok(ph_deadline(PH_NEVER) == PH_NEVER && ph_deadline(-1) == PH_NEVER, "no deadline");
	tap_ok(ph_deadline(1000) >= ph_now_ms() + 900, "a deadline");
	tap_ok(ph_wall_us() > 1600000000000000, "wall clock");
}

int main(void)
{
	test_err();
	test_format();
	test_arena();
	test_buf();
	test_str();
	test_fold();
	test_list();
	test_htab();
	test_heap();
	test_crc();
	test_pack();
	test_queue_id();
	test_time();
	return tap_done();
}
