/* test_index.c: the index of the queue: entries, reasons, heaps, cursors, coverage; bytes per message are printed. */
#include <errno.h>
#include <stdlib.h>
#include <time.h>

#include "queue/index.h"
#include "tap.h"

static bool same(const struct ph_msg_ref *a, const struct ph_msg_ref *b)
{
	return strcmp(a->queue_id, b->queue_id) == 0 && strcmp(a->file, b->file) == 0 && a->instance == b->instance &&
	       a->offset == b->offset && a->length == b->length && a->env_length == b->env_length;
}

static void make(struct ph_msg_ref *ref, struct ph_envelope *env, struct ph_rcpt *rcpts, unsigned i, size_t n)
{
	static char id[32], sender[64], address[4][64];
	size_t k;

	memset(ref, 0, sizeof(*ref));
	memset(env, 0, sizeof(*env));
	snprintf(id, sizeof(id), "4bcdfghjk%06uz1", i);
	snprintf(ref->queue_id, sizeof(ref->queue_id), "%s", id);
	snprintf(ref->file, sizeof(ref->file), "incoming/S01.%08x", i / 1000);
	ref->instance = i / 1000 + 7;
	ref->offset = 64 + (i % 1000) * 4096;
	ref->length = 4096;
	ref->env_length = 300;
	snprintf(sender, sizeof(sender), "sender%u@example.com", i);
	env->sender = sender;
	env->arrival_us = i;
	env->content_bytes = 3000;
	env->rcpts = rcpts;
	env->n_rcpts = n;
	for (k = 0; k < n; k++) {
		snprintf(address[k], sizeof(address[k]), "recipient%u.%zu@example.org", i, k);
		rcpts[k] = (struct ph_rcpt){ .address = address[k], .original = k == 1 ? "alias@example.net" : address[k] };
	}
}

static void test_basic(void)
{
	struct ph_index *ix = ph_index_new();
	struct ph_msg_ref ref, got;
	struct ph_envelope env;
	struct ph_rcpt rcpts[4];
	struct ph_reason r = { "4.4.1", "connect to x: refused", "none", "", "" }, back;
	struct ph_entry *e;
	const char *p, *orig;

	make(&ref, &env, rcpts, 5, 3);
	e = ph_index_add(ix, &ref, &env);
	tap_ok(e != NULL && ph_index_add(ix, &ref, &env) == NULL, "added once");
	tap_is(ph_entry_queue_id(e), ref.queue_id, "queue id");
	tap_is(ph_entry_sender(e), "sender5@example.com", "sender");
	p = ph_entry_rcpts(e);
	tap_is(ph_entry_rcpt_next(e, 0, &p, &orig), "recipient5.0@example.org", "recipient 0");
	tap_is(orig, "recipient5.0@example.org", "its original");
	tap_is(ph_entry_rcpt_next(e, 1, &p, &orig), "recipient5.1@example.org", "recipient 1");
	tap_is(orig, "alias@example.net", "its original");
	tap_is(ph_entry_rcpt_next(e, 2, &p, &orig), "recipient5.2@example.org", "recipient 2");
	ph_entry_ref(e, &got);
	tap_ok(same(&got, &ref), "where it lies");
	tap_ok(ph_index_find(ix, ref.queue_id) == e && ph_index_find(ix, "nope") == NULL, "found by id");

	tap_ok(ph_index_result(ix, e, 0, PH_RCPT_TODO, &r) && e->rcpts[0].deferred && e->n_todo == 3, "deferred");
	tap_ok(ph_index_result(ix, e, 1, PH_RCPT_TODO, &r) && e->rcpts[1].reason == e->rcpts[0].reason, "the same reason is shared");
	tap_ok(ph_entry_reason(ix, e, 1, &back), "has a reason");
	tap_is(back.text, r.text, "its text");
	tap_is(back.dsn, r.dsn, "its code");
	tap_is(back.relay, "none", "its relay");
	tap_ok(ph_index_result(ix, e, 0, PH_RCPT_SENT, NULL) && e->n_todo == 2, "sent");
	tap_ok(!ph_index_result(ix, e, 0, PH_RCPT_TODO, &r) && !ph_index_result(ix, e, 0, PH_RCPT_BOUNCED, &r), "a final result stays");
	tap_ok(ph_index_result(ix, e, 0, PH_RCPT_CLOSED, NULL) && !ph_index_result(ix, e, 0, PH_RCPT_CLOSED, NULL), "closed");
	tap_ok(!ph_index_result(ix, e, 3, PH_RCPT_SENT, NULL), "no such recipient");
	r.text = "something else";
	ph_index_result(ix, e, 1, PH_RCPT_TODO, &r);
	ph_index_result(ix, e, 2, PH_RCPT_BOUNCED, &r);
	tap_ok(e->rcpts[1].reason == e->rcpts[2].reason && e->n_todo == 1, "another reason");

	ph_index_enqueue(ix, e);
	tap_ok(ph_heap_first(&ix->incoming) == &e->due && ix->n_state[PH_ENTRY_INCOMING] == 1, "incoming");
	ph_index_state(ix, e, PH_ENTRY_ACTIVE);
	tap_ok(ph_heap_first(&ix->incoming) == NULL && ix->n_state[PH_ENTRY_ACTIVE] == 1, "active");
	ph_index_defer(ix, e, 77);
	tap_ok(ph_heap_first(&ix->deferred) == &e->due && e->due.key == 77, "deferred");
	tap_ok(e->segment->live == 1 && e->segment->live_bytes == 4096, "live bytes");
	ph_index_remove(ix, e);
	tap_ok(ix->n == 0 && ix->bytes == 0 && ph_index_find(ix, ref.queue_id) == NULL, "removed (%llu bytes left)", (unsigned long long)ix->bytes);
	ph_index_free(&ix);
}

static void test_pack(void)
{
	struct ph_index *ix = ph_index_new(), *to = ph_index_new();
	struct ph_msg_ref ref, got;
	struct ph_envelope env;
	struct ph_rcpt rcpts[4];
	struct ph_reason r = { "4.4.1", "connect to x: refused", "none", "mta", "diag" }, back;
	struct ph_buf b = PH_BUF_INIT(1 << 20);
	struct ph_entry *e, *f;
	struct ph_segment *seg;
	int64_t due;
	size_t i, bad = 0;

	make(&ref, &env, rcpts, 5, 3);
	e = ph_index_add(ix, &ref, &env);
	e->attempts = 4;
	e->marks |= PH_MARK_WARNED;
	ph_index_result(ix, e, 0, PH_RCPT_TODO, &r);
	ph_index_result(ix, e, 1, PH_RCPT_SENT, NULL);
	tap_ok(ph_entry_pack(ix, e, 123456, &b) == 0, "packed in %zu bytes", b.len);
	seg = ph_index_segment(to, ref.file, ref.instance);
	f = ph_entry_unpack(to, seg, ref.queue_id, (struct ph_slice){ b.data, b.len }, &due, NULL);
	tap_ok(f && due == 123456 && f->attempts == 4 && f->n_todo == 2 && f->rcpts[1].state == PH_RCPT_SENT &&
	       (f->marks & PH_MARK_WARNED), "unpacked");
	ph_entry_ref(f, &got);
	tap_ok(same(&got, &ref), "where it lies");
	ph_entry_reason(to, f, 0, &back);
	tap_is(back.diag, "diag", "with its reason");
	tap_ok(ph_entry_unpack(to, seg, ref.queue_id, (struct ph_slice){ b.data, b.len }, &due, NULL) == NULL, "not twice");
	ph_index_remove(to, f);
	for (i = 0; i < b.len; i++)             /* every prefix is refused */
		bad += ph_entry_unpack(to, seg, ref.queue_id, (struct ph_slice){ b.data, i }, &due, NULL) == NULL;
	tap_ok(bad == b.len && to->n == 0, "cut off: refused");
	for (i = 0; i < b.len * 8; i++) {       /* every flipped bit: refused or taken, never a crash */
		b.data[i / 8] ^= (char)(1 << i % 8);
		f = ph_entry_unpack(to, seg, ref.queue_id, (struct ph_slice){ b.data, b.len }, &due, NULL);
		if (f)
			ph_index_remove(to, f);
		b.data[i / 8] ^= (char)(1 << i % 8);
	}
	tap_ok(to->n == 0 && to->bytes == 0, "flipped bits do no harm");
	ph_buf_done(&b);
	ph_index_free(&ix);
	ph_index_free(&to);
}

static void test_cover(void)
{
	struct ph_index *ix = ph_index_new();
	struct ph_segment *seg = ph_index_segment(ix, "incoming/S01.00000001", 9);
	enum { B = 4096 };              /* PH_SEGMENT_START */
	unsigned order[100], i, seed = 3;

	for (i = 0; i < 100; i++)
		order[i] = i;
	for (i = 99; i > 0; i--) {
		unsigned j = (unsigned)rand_r(&seed) % (i + 1), t = order[i];

		order[i] = order[j];
		order[j] = t;
	}
	for (i = 0; i < 100; i++)
		ph_segment_cover(seg, B + order[i] * 10, B + order[i] * 10 + 10);
	tap_ok(seg->covered == B + 1000 && seg->n_holes == 0 && seg->end == B + 1000, "any order (%llu, %u)", (unsigned long long)seg->covered, seg->n_holes);
	ph_segment_cover(seg, B + 2000, B + 2100);
	ph_segment_cover(seg, B + 2200, B + 2300);
	tap_ok(seg->covered == B + 1000 && seg->n_holes == 2 && seg->end == B + 2300, "a gap stays a gap");
	ph_segment_cover(seg, B + 2100, B + 2200);
	tap_ok(seg->n_holes == 1, "joined");
	ph_segment_cover(seg, B + 1000, B + 2000);
	tap_ok(seg->covered == B + 2300 && seg->n_holes == 0, "and covered");
	ph_index_free(&ix);
}

static void test_cursor(void)
{
	struct ph_index *ix = ph_index_new();
	struct ph_index_cursor c, d;
	struct ph_msg_ref ref;
	struct ph_envelope env;
	struct ph_rcpt rcpts[4];
	struct ph_entry *e[100];
	unsigned i, n = 0;

	for (i = 0; i < 100; i++) {
		make(&ref, &env, rcpts, i, 1);
		e[i] = ph_index_add(ix, &ref, &env);
	}
	ph_index_cursor_open(ix, &c);
	ph_index_cursor_open(ix, &d);
	for (i = 0; i < 50; i++)
		n += ph_index_cursor_next(ix, &c) == e[i];
	ph_index_remove(ix, e[49]);
	ph_index_remove(ix, e[50]);
	n += ph_index_cursor_next(ix, &c) == e[51];
	tap_ok(n == 51, "entries in order, over removals");
	for (n = 0; ph_index_cursor_next(ix, &d); )
		n++;
	tap_ok(n == 98, "a second cursor passes the first");
	ph_index_cursor_close(&c);
	ph_index_cursor_close(&d);
	ph_index_free(&ix);
}

static void bench(void)
{
	enum { N = 200000 };
	struct ph_index *ix = ph_index_new();
	struct ph_reason r = { "4.4.1", "connect to mx.example.org[192.0.2.1]:25: Connection refused", "none", "", "" };
	struct ph_msg_ref ref;
	struct ph_envelope env;
	struct ph_rcpt rcpts[4];
	struct timespec t0, t1;
	unsigned i;
	double bytes;

	clock_gettime(CLOCK_MONOTONIC, &t0);
	for (i = 0; i < N; i++) {
		struct ph_entry *e;

		make(&ref, &env, rcpts, i, 1);
		e = ph_index_add(ix, &ref, &env);
		ph_index_defer(ix, e, i * 7919 % 100003);
		ph_index_result(ix, e, 0, PH_RCPT_TODO, &r);
	}
	clock_gettime(CLOCK_MONOTONIC, &t1);
	bytes = (double)ix->bytes + (double)(ix->by_id.cap * sizeof(struct ph_htab_slot)) + (double)ix->deferred.cap * 8;
	printf("# %d deferred messages: %.0f bytes each (entry %.0f, hash %.0f, heap %.0f), %.0f ns to add\n", N, bytes / N,
	       (double)ix->bytes / N, (double)(ix->by_id.cap * sizeof(struct ph_htab_slot)) / N, (double)ix->deferred.cap * 8 / N,
	       ((double)(t1.tv_sec - t0.tv_sec) * 1e9 + (double)(t1.tv_nsec - t0.tv_nsec)) / N);
	tap_ok(bytes / N < 300, "below 300 bytes for a message with one recipient");
	ph_index_free(&ix);
}

int main(void)
{
	test_basic();
	test_pack();
	test_cover();
	test_cursor();
	bench();
	return tap_done();
}
