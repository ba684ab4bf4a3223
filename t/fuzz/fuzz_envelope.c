/* Envelopes, references and delivery requests: any bytes.  What decodes must encode to something that decodes again. */
#include <stdlib.h>
#include <string.h>

#include "queue/parts.h"
#include "queue/proto.h"
#include "queue/record.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void envelope(struct ph_slice in, struct ph_arena *arena)
{
	struct ph_buf b = PH_BUF_INIT((size_t)64 * 1024 * 1024);
	struct ph_envelope *env, *again;
	struct ph_err err;

	if (ph_envelope_decode(in, arena, &env, &err) < 0)
		return;
	if (ph_envelope_encode(env, &b) < 0 || ph_envelope_decode((struct ph_slice){ b.data, b.len }, arena, &again, &err) < 0 ||
	    again->n_rcpts != env->n_rcpts || again->n_attrs != env->n_attrs || strcmp(again->sender, env->sender) != 0)
		abort();
	ph_buf_done(&b);
}

static void request(struct ph_slice in, struct ph_arena *arena)
{
	struct ph_buf b = PH_BUF_INIT((size_t)64 * 1024 * 1024);
	struct ph_delivery_request *r, *again;

	if (ph_request_decode(in, arena, &r) < 0)
		return;
	if (!ph_store_file_valid(r->ref.file) || ph_request_encode(r, &b) < 0 ||
	    ph_request_decode((struct ph_slice){ b.data, b.len }, arena, &again) < 0 || again->n_rcpts != r->n_rcpts)
		abort();
	ph_buf_done(&b);
}

/* A part gets its result: what can be written at all can be written then, too, within the bound, and nothing else changes. */
static void settle(const char *text, const struct ph_part *p, struct ph_arena *arena)
{
	struct ph_parts before = ph_parts_read(text, arena), after;
	struct ph_part result = { .dsn = "5.999.99999", .text = text, .mta = text };
	const char *first = ph_parts_write(&before, arena), *now;

	if (!first)
		return;
	if (strlen(first) > PH_PARTS_MAX || ph_parts_read(first, arena).n != before.n)
		abort();
	for (int status = PH_SENT; status <= PH_BOUNCED; status++) {
		now = ph_parts_settle(first, arena, p->address, p->route, (enum ph_delivery_status)status, false, &result);
		if (!now)
			abort();
		after = ph_parts_read(now, arena);
		if (strlen(now) > PH_PARTS_MAX || after.n != before.n)
			abort();
		for (size_t i = 0; i < after.n; i++)
			if (after.part[i].state != before.part[i].state && before.part[i].state != PH_PART_PENDING)
				abort();
	}
}

/* A notification about a bounced part has gone out: that one is told, and whatever was pending is so yet. */
static void told(const char *text, const struct ph_part *p, struct ph_arena *arena)
{
	struct ph_parts before = ph_parts_read(text, arena), after;
	const char *first = ph_parts_write(&before, arena), *now = first ? ph_parts_told(first, arena, p->address) : NULL;
	size_t changed = 0;

	if (!first)
		return;
	if (!now || strlen(now) > PH_PARTS_MAX || ph_parts_pending(now) != ph_parts_pending(first))
		abort();
	after = ph_parts_read(now, arena);
	if (after.n != before.n)
		abort();
	for (size_t i = 0; i < after.n; i++) {
		if (after.part[i].state == before.part[i].state)
			continue;
		if (before.part[i].state != PH_PART_BOUNCED || after.part[i].state != PH_PART_TOLD || changed++)
			abort();
	}
}

/* The parts of an expanded recipient: what is read can be written, and reads the same again. */
static void parts(const char *text, struct ph_arena *arena)
{
	struct ph_buf b = PH_BUF_INIT((size_t)64 * 1024 * 1024);
	const char *at = text, *from = text;
	struct ph_part p, again;

	while (ph_parts_next(&at, arena, &p)) {
		const char *back;

		if (at <= from)
			abort();
		from = at;
		ph_buf_clear(&b);
		ph_parts_add(&b, &p);
		back = ph_buf_str(&b);
		/* A field with one of our own two bytes is not written. */
		if (b.len && (!ph_parts_are(back) || !ph_parts_next(&back, arena, &again) || *back || strcmp(again.address, p.address) != 0 ||
			      strcmp(again.text, p.text) != 0 || again.anonymous != p.anonymous))
			abort();
		if (p.state == PH_PART_PENDING)
			settle(text, &p, arena);
		if (p.state == PH_PART_BOUNCED)
			told(text, &p, arena);
	}
	ph_buf_done(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct ph_arena *arena = ph_arena_new();
	struct ph_msg_ref ref;
	struct ph_slice in;

	if (n > 0) {
		in = (struct ph_slice){ (const char *)data + 1, n - 1 };
		if (data[0] == 255)
			parts(ph_arena_strndup(arena, in.p, in.n), arena);
		else if (data[0] % 3 == 0)
			envelope(in, arena);
		else if (data[0] % 3 == 1)
			request(in, arena);
		else
			while (ph_ref_decode(&in, &ref) == 0)
				;
	}
	ph_arena_free(&arena);
	return 0;
}
