/* index.c: entries of the queue's index.
 * State: struct ph_index and its entries.  No I/O, no yield. */
#include <errno.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/pack.h"
#include "queue/index.h"

#define RCPTS_MAX 10000000u

struct ph_index *ph_index_new(void)
{
	struct ph_index *ix = ph_alloc(sizeof(*ix));

	ph_list_init(&ix->all);
	ph_list_init(&ix->segments);
	return ix;
}

/* ---- texts of an entry ---- */

static char *texts(const struct ph_entry *e)
{
	return (char *)(uintptr_t)&e->rcpts[e->n_rcpts];
}

const char *ph_entry_queue_id(const struct ph_entry *e)
{
	return texts(e);
}

const char *ph_entry_sender(const struct ph_entry *e)
{
	return texts(e) + strlen(texts(e)) + 1;
}

const char *ph_entry_rcpts(const struct ph_entry *e)
{
	const char *sender = ph_entry_sender(e);

	return sender + strlen(sender) + 1;
}

const char *ph_entry_rcpt_next(const struct ph_entry *e, uint32_t i, const char **cursor, const char **ret_original)
{
	const char *address = *cursor;

	*cursor += strlen(address) + 1;
	*ret_original = address;
	if (e->rcpts[i].has_original) {
		*ret_original = *cursor;
		*cursor += strlen(*cursor) + 1;
	}
	return address;
}

static char *put_text(char *p, const char *s)
{
	size_t n = strlen(s) + 1;

	memcpy(p, s, n);
	return p + n;
}

/* ---- adding ---- */

static struct ph_entry *entry_alloc(struct ph_index *ix, uint32_t n_rcpts, uint32_t text_bytes)
{
	struct ph_entry *e = ph_alloc(sizeof(*e) + n_rcpts * sizeof(e->rcpts[0]) + text_bytes);

	e->n_rcpts = e->n_todo = n_rcpts;
	e->text_bytes = text_bytes;
	ix->bytes += malloc_usable_size(e) + sizeof(size_t);
	return e;
}

static void entry_link(struct ph_index *ix, struct ph_entry *e)
{
	ph_htab_put(&ix->by_id, ph_entry_queue_id(e), e);
	ph_list_append(&ix->all, &e->all);
	e->added = (uint32_t)ix->added++;
	ix->n++;
	ix->n_state[e->state]++;
	ix->content_bytes += (uint64_t)e->content_bytes;
	e->segment->live++;
	e->segment->live_bytes += e->length;
}

static const struct ph_reason expanded = { "2.0.0", "alias expanded", "none", "", "" };

struct ph_entry *ph_index_add(struct ph_index *ix, const struct ph_msg_ref *ref, const struct ph_envelope *env)
{
	size_t bytes = strlen(ref->queue_id) + 1 + strlen(env->sender) + 1, i;
	struct ph_entry *e;
	char *p;

	if (ph_htab_get(&ix->by_id, ref->queue_id))
		return NULL;
	ph_assert(env->n_rcpts <= RCPTS_MAX);
	for (i = 0; i < env->n_rcpts; i++) {
		const struct ph_rcpt *r = &env->rcpts[i];

		bytes += strlen(r->address) + 1;
		if (r->original && strcmp(r->original, r->address) != 0)
			bytes += strlen(r->original) + 1;
	}
	e = entry_alloc(ix, (uint32_t)env->n_rcpts, (uint32_t)bytes);
	p = put_text(put_text(texts(e), ref->queue_id), env->sender);
	for (i = 0; i < env->n_rcpts; i++) {
		const struct ph_rcpt *r = &env->rcpts[i];

		e->rcpts[i].notify = (uint8_t)r->dsn_notify;
		p = put_text(p, r->address);
		if (r->original && strcmp(r->original, r->address) != 0) {
			e->rcpts[i].has_original = 1;
			p = put_text(p, r->original);
		}
	}
	e->marks = PH_MARK_FRESH;
	e->flags = env->flags;
	e->state = env->flags & PH_ENV_HOLD ? PH_ENTRY_HOLD : PH_ENTRY_INCOMING;
	e->arrival_us = env->arrival_us;
	e->content_bytes = env->content_bytes;
	e->offset = ref->offset;
	e->length = ref->length;
	e->env_length = ref->env_length;
	e->segment = ph_index_segment(ix, ref->file, ref->instance);
	ph_segment_cover(e->segment, ref->offset, ref->offset + ref->length);
	entry_link(ix, e);
	for (i = 0; i < env->n_rcpts; i++)
		if (env->rcpts[i].dsn_notify & PH_NOTIFY_EXPANDED)
			ph_index_result(ix, e, (uint32_t)i, PH_RCPT_SENT, &expanded);
	return e;
}

struct ph_entry *ph_index_find(const struct ph_index *ix, const char *queue_id)
{
	return ph_htab_get(&ix->by_id, queue_id);
}

/* ---- states ---- */

static void heaps_leave(struct ph_index *ix, struct ph_entry *e)
{
	if (!ph_heap_has(&e->due))
		return;
	ph_heap_del(e->state == PH_ENTRY_INCOMING ? &ix->incoming : &ix->deferred, &e->due);
}

void ph_index_state(struct ph_index *ix, struct ph_entry *e, enum ph_entry_state state)
{
	heaps_leave(ix, e);
	ix->n_state[e->state]--;
	e->state = (uint8_t)state;
	ix->n_state[state]++;
}

void ph_index_enqueue(struct ph_index *ix, struct ph_entry *e)
{
	ph_index_state(ix, e, PH_ENTRY_INCOMING);
	ph_heap_set(&ix->incoming, &e->due, (int64_t)ix->incoming_seq++);
}

void ph_index_defer(struct ph_index *ix, struct ph_entry *e, int64_t due_ms)
{
	ph_index_state(ix, e, PH_ENTRY_DEFERRED);
	ph_heap_set(&ix->deferred, &e->due, due_ms);
}

static void segment_leave(struct ph_entry *e)
{
	ph_assert(e->segment->live > 0 && e->segment->live_bytes >= e->length);
	e->segment->live--;
	e->segment->live_bytes -= e->length;
}

void ph_index_move(struct ph_index *ix, struct ph_entry *e, const struct ph_msg_ref *to)
{
	segment_leave(e);
	e->segment = ph_index_segment(ix, to->file, to->instance);
	e->offset = to->offset;
	e->length = to->length;
	e->env_length = to->env_length;
	e->segment->live++;
	e->segment->live_bytes += e->length;
	ph_segment_cover(e->segment, to->offset, to->offset + to->length);
}

void ph_entry_ref(const struct ph_entry *e, struct ph_msg_ref *ret)
{
	memset(ret, 0, sizeof(*ret));
	snprintf(ret->queue_id, sizeof(ret->queue_id), "%s", ph_entry_queue_id(e));
	memcpy(ret->file, e->segment->file, sizeof(ret->file));
	ret->instance = e->segment->instance;
	ret->offset = e->offset;
	ret->length = e->length;
	ret->env_length = e->env_length;
}

/* ---- results ---- */

static void reason_drop(struct ph_index *ix, uint32_t id)
{
	struct ph_reason_slot *r = &ix->reasons[id];

	if (id == 0 || --r->refs > 0)
		return;
	ph_htab_deln(&ix->reason_by_text, r->blob, r->n);
	ix->bytes -= r->n + sizeof(*r);
	free(r->blob);
	r->blob = NULL;
	r->next_free = ix->free_reason;
	ix->free_reason = id;
}

static uint32_t reason_new(struct ph_index *ix, const char *blob, uint32_t n)
{
	uint32_t id = ix->free_reason;
	struct ph_reason_slot *r;

	if (id) {
		ix->free_reason = ix->reasons[id].next_free;
	} else {
		if (ix->n_reasons == ix->cap_reasons) {
			ix->cap_reasons = ix->cap_reasons ? ix->cap_reasons * 2 : 64;
			ix->reasons = ph_realloc(ix->reasons, ix->cap_reasons * sizeof(ix->reasons[0]));
			if (ix->n_reasons == 0)
				ix->n_reasons = 1;      /* 0 means none */
		}
		id = ix->n_reasons++;
	}
	r = &ix->reasons[id];
	r->blob = ph_alloc(n);
	memcpy(r->blob, blob, n);
	r->n = n;
	r->refs = 0;
	ix->bytes += n + sizeof(*r);
	ph_htab_putn(&ix->reason_by_text, r->blob, n, (void *)(uintptr_t)id);
	return id;
}

static char *put_cut(char *p, const char *s)
{
	size_t n = s ? strlen(s) : 0;

	if (n > PH_REASON_TEXT_MAX)
		n = PH_REASON_TEXT_MAX;
	if (n)
		memcpy(p, s, n);
	p[n] = '\0';
	return p + n + 1;
}

static uint32_t reason_get(struct ph_index *ix, const struct ph_reason *r)
{
	char *blob = ix->scratch, *p;
	uint32_t id;

	p = put_cut(put_cut(put_cut(put_cut(put_cut(blob, r->dsn), r->text), r->relay), r->mta), r->diag);
	id = (uint32_t)(uintptr_t)ph_htab_getn(&ix->reason_by_text, blob, (size_t)(p - blob));
	if (id == 0)
		id = reason_new(ix, blob, (uint32_t)(p - blob));
	ix->reasons[id].refs++;
	return id;
}

bool ph_entry_reason(const struct ph_index *ix, const struct ph_entry *e, uint32_t i, struct ph_reason *ret)
{
	uint32_t id = e->rcpts[i].reason;
	const char *p;

	*ret = (struct ph_reason){ "", "", "", "", "" };
	if (id == 0)
		return false;
	p = ix->reasons[id].blob;
	ret->dsn = p;
	ret->text = p += strlen(p) + 1;
	ret->relay = p += strlen(p) + 1;
	ret->mta = p += strlen(p) + 1;
	ret->diag = p + strlen(p) + 1;
	return true;
}

bool ph_index_result(struct ph_index *ix, struct ph_entry *e, uint32_t i, uint8_t state, const struct ph_reason *reason)
{
	struct ph_entry_rcpt *r;
	uint32_t id;

	if (i >= e->n_rcpts)
		return false;
	r = &e->rcpts[i];
	if (r->state == PH_RCPT_CLOSED || (r->state != PH_RCPT_TODO && state != PH_RCPT_CLOSED))
		return false;
	if (r->state == PH_RCPT_TODO && state != PH_RCPT_TODO)
		e->n_todo--;
	id = reason ? reason_get(ix, reason) : 0;       /* before the old one goes: often it is the same */
	if (r->reason)
		reason_drop(ix, r->reason);
	r->reason = id;
	r->state = state;
	r->deferred = state == PH_RCPT_TODO && id != 0;
	return true;
}

void ph_index_remove(struct ph_index *ix, struct ph_entry *e)
{
	uint32_t i;

	ph_assert(e->active == NULL);
	heaps_leave(ix, e);
	for (i = 0; i < e->n_rcpts; i++) {
		if (e->rcpts[i].reason)
			reason_drop(ix, e->rcpts[i].reason);
	}
	segment_leave(e);
	ph_htab_del(&ix->by_id, ph_entry_queue_id(e));
	ph_list_del(&e->all);
	ix->n--;
	ix->n_state[e->state]--;
	ix->content_bytes -= (uint64_t)e->content_bytes;
	ix->bytes -= malloc_usable_size(e) + sizeof(size_t);
	free(e);
}

/* ---- cursors ---- */

void ph_index_cursor_open(struct ph_index *ix, struct ph_index_cursor *c)
{
	c->marks = PH_MARK_MARKER;
	ph_list_push(&ix->all, &c->node);
}

struct ph_entry *ph_index_cursor_next(struct ph_index *ix, struct ph_index_cursor *c)
{
	struct ph_list *n = c->node.next;

	/* A marker and an entry begin alike: list node, marks. */
	while (n != &ix->all && (ph_list_entry(n, struct ph_index_cursor, node)->marks & PH_MARK_MARKER))
		n = n->next;
	if (n == &ix->all)
		return NULL;
	ph_list_del(&c->node);
	ph_list_insert_after(n, &c->node);
	return ph_list_entry(n, struct ph_entry, all);
}

void ph_index_cursor_close(struct ph_index_cursor *c)
{
	ph_list_del(&c->node);
}

_Static_assert(offsetof(struct ph_entry, all) == offsetof(struct ph_index_cursor, node) &&
	       offsetof(struct ph_entry, marks) == offsetof(struct ph_index_cursor, marks), "markers look like entries");

/* ---- as bytes ---- */

#define PACK_VERSION 1

int ph_entry_pack(const struct ph_index *ix, const struct ph_entry *e, int64_t due_wall_ms, struct ph_buf *out)
{
	uint32_t i;
	int r = ph_pack_u8(out, PACK_VERSION);

	r |= ph_pack_u64(out, e->offset) | ph_pack_u64(out, e->length) | ph_pack_u32(out, e->env_length);
	r |= ph_pack_i64(out, e->arrival_us) | ph_pack_i64(out, e->content_bytes) | ph_pack_i64(out, due_wall_ms);
	r |= ph_pack_u32(out, e->marks) | ph_pack_u32(out, e->flags) | ph_pack_u32(out, e->attempts);
	r |= ph_pack_u8(out, e->state) | ph_pack_u32(out, e->n_rcpts) | ph_pack_bytes(out, texts(e), e->text_bytes);
	for (i = 0; i < e->n_rcpts; i++) {
		const struct ph_entry_rcpt *x = &e->rcpts[i];

		r |= ph_pack_u8(out, (uint8_t)(x->state | x->deferred << 2 | x->has_original << 3 | (x->reason ? 16 : 0)));
		r |= ph_pack_u8(out, x->notify);
		if (x->reason)
			r |= ph_pack_bytes(out, ix->reasons[x->reason].blob, ix->reasons[x->reason].n);
	}
	return r ? -ENOBUFS : 0;
}

/* Exactly n texts, each with its NUL, and nothing else. */
static bool texts_whole(struct ph_slice s, uint64_t n)
{
	const char *p = s.p, *end = s.p + s.n, *nul;

	for (; n > 0 && p < end; n--) {
		nul = memchr(p, '\0', (size_t)(end - p));
		if (nul == NULL)
			return false;
		p = nul + 1;
	}
	return n == 0 && p == end;
}

static bool unpack_rcpts(struct ph_index *ix, struct ph_entry *e, struct ph_unpack *u)
{
	struct ph_slice blob;
	uint8_t bits;
	uint32_t i, id;

	for (i = 0; i < e->n_rcpts && !u->bad; i++) {
		bits = ph_unpack_u8(u);
		e->rcpts[i].state = bits & 3;
		e->rcpts[i].deferred = bits >> 2 & 1;
		e->rcpts[i].has_original = bits >> 3 & 1;
		e->rcpts[i].notify = ph_unpack_u8(u);
		if (e->rcpts[i].state != PH_RCPT_TODO)
			e->n_todo--;
		if ((bits & 16) == 0)
			continue;
		blob = ph_unpack_bytes(u);
		if (u->bad || blob.n > 5 * (PH_REASON_TEXT_MAX + 1) || !texts_whole(blob, 5))
			return false;
		id = (uint32_t)(uintptr_t)ph_htab_getn(&ix->reason_by_text, blob.p, blob.n);
		if (id == 0)
			id = reason_new(ix, blob.p, (uint32_t)blob.n);
		ix->reasons[id].refs++;
		e->rcpts[i].reason = id;
	}
	return ph_unpack_done(u);
}

static void entry_undo(struct ph_index *ix, struct ph_entry *e)
{
	uint32_t i;

	for (i = 0; i < e->n_rcpts; i++) {
		if (e->rcpts[i].reason)
			reason_drop(ix, e->rcpts[i].reason);
	}
	ix->bytes -= malloc_usable_size(e) + sizeof(size_t);
	free(e);
}

struct ph_entry *ph_entry_unpack(struct ph_index *ix, struct ph_segment *seg, const char *queue_id, struct ph_slice in,
				 int64_t *ret_due_wall_ms, struct ph_err *err)
{
	struct ph_entry head, *e = NULL;
	struct ph_unpack u;
	struct ph_slice text;
	uint64_t n_texts = 2;
	uint32_t i;

	memset(&head, 0, sizeof(head));
	ph_unpack_init(&u, in);
	if (ph_unpack_u8(&u) != PACK_VERSION)
		goto bad;
	head.offset = ph_unpack_u64(&u);
	head.length = ph_unpack_u64(&u);
	head.env_length = ph_unpack_u32(&u);
	head.arrival_us = ph_unpack_i64(&u);
	head.content_bytes = ph_unpack_i64(&u);
	*ret_due_wall_ms = ph_unpack_i64(&u);
	head.marks = ph_unpack_u32(&u) & (PH_MARK_EXPIRE | PH_MARK_WARNED | PH_MARK_TRACED | PH_MARK_FRESH);
	head.flags = ph_unpack_u32(&u);
	head.attempts = (uint16_t)ph_unpack_u32(&u);
	head.state = ph_unpack_u8(&u);
	head.n_rcpts = ph_unpack_u32(&u);
	text = ph_unpack_bytes(&u);
	/* Each recipient takes at least a byte behind this. */
	if (u.bad || head.state > PH_ENTRY_HOLD || head.n_rcpts > u.n || head.content_bytes < 0 || text.n > UINT32_MAX)
		goto bad;
	e = entry_alloc(ix, head.n_rcpts, (uint32_t)text.n);
	memcpy(texts(e), text.p, text.n);
	if (!unpack_rcpts(ix, e, &u))
		goto bad;
	for (i = 0; i < e->n_rcpts; i++)
		n_texts += 1u + e->rcpts[i].has_original;
	if (!texts_whole(text, n_texts) || strcmp(ph_entry_queue_id(e), queue_id) != 0)
		goto bad;
	if (ph_htab_get(&ix->by_id, queue_id)) {
		entry_undo(ix, e);
		ph_err_set(err, -EEXIST, "%s: in the queue already", queue_id);
		return NULL;
	}
	e->marks = head.marks;
	e->flags = head.flags;
	e->segment = seg;
	e->offset = head.offset;
	e->length = head.length;
	e->arrival_us = head.arrival_us;
	e->content_bytes = head.content_bytes;
	e->env_length = head.env_length;
	e->attempts = head.attempts;
	e->state = head.state == PH_ENTRY_ACTIVE ? PH_ENTRY_INCOMING : head.state;
	entry_link(ix, e);
	return e;
bad:
	if (e)
		entry_undo(ix, e);
	ph_err_set(err, -EPROTO, "damaged record of message %s", queue_id);
	return NULL;
}
