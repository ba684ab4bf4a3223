/* The envelope's encoding, and those of references and delivery requests: round trips, cuts, flipped bits, bounds. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "queue/proto.h"
#include "tap.h"

static struct ph_attr attrs[] = { { "client_name", "mx.example.org" }, { "log_protocol_name", "" } };
static struct ph_rcpt rcpts[] = {
	{ .address = "a@example.com", .original = "a@example.com" },
	{ .address = "b@example.com", .original = "all@example.com", .dsn_orcpt = "", .dsn_notify = PH_NOTIFY_NEVER },
	{ .address = "", .original = "x", .dsn_orcpt = "rfc822;x", .dsn_notify = PH_NOTIFY_SUCCESS | PH_NOTIFY_DELAY },
};
static const struct ph_envelope full = {
	.arrival_us = -5, .content_bytes = INT64_MAX, .flags = 0xdeadbeef, .sender = "s@example.org", .envid = "", .ret = "FULL",
	.encoding = "7bit", .filter = "smtp:[127.0.0.1]:10025", .redirect = "r@example.com",
	.n_attrs = 2, .attrs = attrs, .n_rcpts = 3, .rcpts = rcpts,
};

static bool eq(const char *a, const char *b)
{
	return a == b || (a && b && strcmp(a, b) == 0);
}

static bool envelope_eq(const struct ph_envelope *a, const struct ph_envelope *b)
{
	size_t i;

	if (a->arrival_us != b->arrival_us || a->content_bytes != b->content_bytes || a->flags != b->flags || !eq(a->sender, b->sender) ||
	    !eq(a->envid, b->envid) || !eq(a->ret, b->ret) || !eq(a->encoding, b->encoding) || !eq(a->filter, b->filter) ||
	    !eq(a->redirect, b->redirect) || a->n_attrs != b->n_attrs || a->n_rcpts != b->n_rcpts)
		return false;
	for (i = 0; i < a->n_attrs; i++)
		if (!eq(a->attrs[i].name, b->attrs[i].name) || !eq(a->attrs[i].value, b->attrs[i].value))
			return false;
	for (i = 0; i < a->n_rcpts; i++)
		if (!eq(a->rcpts[i].address, b->rcpts[i].address) || !eq(a->rcpts[i].original, b->rcpts[i].original) ||
		    !eq(a->rcpts[i].dsn_orcpt, b->rcpts[i].dsn_orcpt) || a->rcpts[i].dsn_notify != b->rcpts[i].dsn_notify)
			return false;
	return true;
}

/* Each prefix, and each byte changed, of an encoding, in memory of exactly its size: nothing crashes; how many are taken for whole? */
static size_t abuse(const char *p, size_t n, bool (*decode)(struct ph_slice in, struct ph_arena *arena))
{
	struct ph_arena *arena = ph_arena_new();
	size_t k, taken = 0;
	char *copy;
	int bit;

	for (k = 0; k < n; k++) {
		copy = ph_alloc(k + 1);
		memcpy(copy, p, k);
		taken += decode((struct ph_slice){ copy, k }, arena);
		free(copy);
		ph_arena_reset(arena);
	}
	copy = ph_alloc(n);
	memcpy(copy, p, n);
	for (k = 0; k < n; k++)
		for (bit = 0; bit < 8; bit++) {
			copy[k] ^= (char)(1 << bit);
			decode((struct ph_slice){ copy, n }, arena);
			copy[k] ^= (char)(1 << bit);
			ph_arena_reset(arena);
		}
	free(copy);
	ph_arena_free(&arena);
	return taken;
}

static bool envelope_decodes(struct ph_slice in, struct ph_arena *arena)
{
	struct ph_envelope *e;

	return ph_envelope_decode(in, arena, &e, NULL) == 0;
}

static void test_envelope(struct ph_arena *arena)
{
	struct ph_envelope least = { .sender = "", .encoding = "" }, *got = NULL, many = least;
	struct ph_buf b = PH_BUF_INIT(1 << 24), small = PH_BUF_INIT(200);
	struct ph_err err;
	size_t i;

	tap_ok(ph_envelope_encode(&full, &b) == 0 && ph_envelope_decode((struct ph_slice){ b.data, b.len }, arena, &got, &err) == 0 &&
	       envelope_eq(&full, got), "all fields come back");
	tap_ok(got->rcpts[0].original == got->rcpts[0].address, "an original that is no other takes no room");
	tap_is(ph_envelope_attr(got, "client_name"), "mx.example.org", "attribute");
	tap_ok(ph_envelope_attr(got, "nothing") == NULL, "one that is not there");
	tap_ok(abuse(b.data, b.len, envelope_decodes) == 0, "every cut is damage");
	tap_ok(ph_envelope_encode(&full, &small) == -ENOBUFS && small.len == 0, "too large: nothing is appended");
	ph_buf_clear(&b);
	tap_ok(ph_envelope_encode(&least, &b) == 0 && ph_envelope_decode((struct ph_slice){ b.data, b.len }, arena, &got, &err) == 0 &&
	       envelope_eq(&least, got), "the least that there is");
	/* An item of a later version, in front of END. */
	ph_buf_consume(&b, 0);
	b.len -= 5;
	ph_buf_append(&b, "\xf0\x03\0\0\0new\x0a\0\0\0\0", 13);
	tap_ok(envelope_decodes((struct ph_slice){ b.data, b.len }, arena), "an unknown item is skipped");
	ph_buf_clear(&b);
	many.n_rcpts = 50000;
	many.rcpts = ph_alloc(many.n_rcpts * sizeof(many.rcpts[0]));
	for (i = 0; i < many.n_rcpts; i++)
		many.rcpts[i] = rcpts[i % 3];
	tap_ok(ph_envelope_encode(&many, &b) == 0 && ph_envelope_decode((struct ph_slice){ b.data, b.len }, arena, &got, &err) == 0 &&
	       envelope_eq(&many, got), "50000 recipients");
	free(many.rcpts);
	ph_buf_done(&b);
	ph_buf_done(&small);
}

static struct ph_msg_ref ref = { .queue_id = "4jYPq90LsJz0001", .file = "incoming/S01.6b04e3d6", .instance = 77, .offset = 4096,
				 .length = 1000, .env_length = 100 };

static bool ref_decodes(struct ph_slice in, struct ph_arena *arena)
{
	struct ph_msg_ref got;

	return ph_ref_decode(&in, &got) == 0;
}

static void test_ref(struct ph_arena *arena)
{
	static const char *const bad[] = { "/etc/passwd", "incoming/", "incoming/../x", "incoming/.x", "incoming/a/b", "corrupt/x", "" };
	struct ph_buf b = PH_BUF_INIT(4096);
	struct ph_msg_ref got, other = ref;
	struct ph_slice in;
	size_t i;

	ph_ref_encode(&ref, &b);
	ph_buf_puts(&b, "rest");
	in = (struct ph_slice){ b.data, b.len };
	tap_ok(ph_ref_decode(&in, &got) == 0 && memcmp(&got, &ref, sizeof(ref)) == 0, "a reference comes back");
	tap_ok(in.n == 4 && memcmp(in.p, "rest", 4) == 0, "what follows is left");
	tap_ok(abuse(b.data, b.len - 4, ref_decodes) == 0, "every cut of it is damage");
	for (i = 0; i < PH_ARRAY_LEN(bad); i++) {
		snprintf(other.file, sizeof(other.file), "%s", bad[i]);
		ph_buf_clear(&b);
		ph_ref_encode(&other, &b);
		tap_ok(!ref_decodes((struct ph_slice){ b.data, b.len }, arena), "no file \"%s\"", bad[i]);
	}
	other = ref;
	memcpy(other.queue_id, "../x", 5);
	ph_buf_clear(&b);
	ph_ref_encode(&other, &b);
	tap_ok(!ref_decodes((struct ph_slice){ b.data, b.len }, arena), "no queue id \"../x\"");
	ph_buf_done(&b);
}

static bool request_decodes(struct ph_slice in, struct ph_arena *arena)
{
	struct ph_delivery_request *r;

	return ph_request_decode(in, arena, &r) == 0;
}

static void test_request(struct ph_arena *arena)
{
	struct ph_request_rcpt to[2] = { { 0, "a@example.com", "a@example.com", NULL, 0 }, { 7, "b@example.com", "c@example.com", "", 8 } };
	struct ph_delivery_request q = { .id = 1ull << 60, .ref = ref, .service = "smtp", .nexthop = "[mx]", .sender = "", .ret = "HDRS",
					 .encoding = "8bit", .flags = 5, .content_bytes = 1 << 30, .arrival_us = 3, .active_us = 4,
					 .n_attrs = 2, .attrs = attrs, .n_rcpts = 2, .rcpts = to }, *got = NULL;
	struct ph_buf b = PH_BUF_INIT(1 << 16), small = PH_BUF_INIT(64);

	tap_ok(ph_request_encode(&q, &b) == 0 && ph_request_decode((struct ph_slice){ b.data, b.len }, arena, &got) == 0, "a request comes back");
	tap_ok(got->id == q.id && got->envid == NULL && eq(got->ret, "HDRS") && eq(got->service, "smtp") && eq(got->nexthop, "[mx]") &&
	       eq(got->sender, "") && got->flags == 5 && got->content_bytes == 1 << 30 && got->arrival_us == 3 && got->active_us == 4 &&
	       memcmp(&got->ref, &ref, sizeof(ref)) == 0, "its fields");
	tap_ok(got->n_attrs == 2 && eq(got->attrs[1].name, "log_protocol_name") && got->n_rcpts == 2 && got->rcpts[1].index == 7 &&
	       eq(got->rcpts[0].original, "a@example.com") && eq(got->rcpts[1].original, "c@example.com") && got->rcpts[0].dsn_orcpt == NULL &&
	       eq(got->rcpts[1].dsn_orcpt, "") && got->rcpts[1].dsn_notify == 8, "its attributes and recipients");
	tap_ok(abuse(b.data, b.len, request_decodes) == 0, "every cut of it is damage");
	tap_ok(ph_request_encode(&q, &small) == -ENOBUFS && small.len == 0, "too large: nothing is appended");
	ph_buf_done(&b);
	ph_buf_done(&small);
}

int main(void)
{
	struct ph_arena *arena = ph_arena_new();

	test_envelope(arena);
	test_ref(arena);
	test_request(arena);
	ph_arena_free(&arena);
	return tap_done();
}
