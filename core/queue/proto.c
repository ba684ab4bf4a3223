/* proto.c: payloads of the frames between intake, queue manager and agents.  No state; pure; does not yield.
 *
 * What is decoded comes from another process and is checked: names of files and queue ids, numbers of recipients, NULs inside texts. */
#include <errno.h>
#include <string.h>

#include "base/pack.h"
#include "queue/proto.h"
#include "queue/record.h"

/* ---- references --------------------------------------------------------------------------- */

int ph_ref_encode(const struct ph_msg_ref *r, struct ph_buf *out)
{
	size_t start = out->len;

	if (ph_pack_str(out, r->queue_id) < 0 || ph_pack_str(out, r->file) < 0 || ph_pack_u64(out, r->instance) < 0 ||
	    ph_pack_u64(out, r->offset) < 0 || ph_pack_u64(out, r->length) < 0 || ph_pack_u32(out, r->env_length) < 0) {
		out->len = start;
		return -ENOBUFS;
	}
	return 0;
}

/* A text of less than max bytes, without NUL, into to. */
static bool take_text(struct ph_unpack *u, char *to, size_t max)
{
	struct ph_slice s = ph_unpack_bytes(u);

	if (u->bad || s.n >= max || memchr(s.p, '\0', s.n))
		return false;
	memcpy(to, s.p, s.n);
	to[s.n] = '\0';
	return true;
}

static int ref_take(struct ph_unpack *u, struct ph_msg_ref *ret)
{
	memset(ret, 0, sizeof(*ret));
	if (!take_text(u, ret->queue_id, sizeof(ret->queue_id)) || !take_text(u, ret->file, sizeof(ret->file)))
		return -EBADMSG;
	ret->instance = ph_unpack_u64(u);
	ret->offset = ph_unpack_u64(u);
	ret->length = ph_unpack_u64(u);
	ret->env_length = ph_unpack_u32(u);
	if (u->bad || !ph_store_file_valid(ret->file) || (ret->queue_id[0] && !ph_queue_id_valid(ret->queue_id)))
		return -EBADMSG;
	return 0;
}

int ph_ref_decode(struct ph_slice *in, struct ph_msg_ref *ret)
{
	struct ph_unpack u;
	int r;

	ph_unpack_init(&u, *in);
	r = ref_take(&u, ret);
	if (r == 0)
		*in = (struct ph_slice){ (const char *)u.p, u.n };
	return r;
}

/* ---- delivery requests -------------------------------------------------------------------- */

/* NULL and "" are different things: a byte in front tells. */
static void pack_opt(struct ph_buf *b, const char *s)
{
	ph_pack_u8(b, s != NULL);
	if (s)
		ph_pack_str(b, s);
}

static const char *take_opt(struct ph_unpack *u, struct ph_arena *arena)
{
	return ph_unpack_u8(u) ? ph_unpack_str(u, arena) : NULL;
}

static void pack_rcpt(struct ph_buf *out, const struct ph_request_rcpt *c)
{
	ph_pack_u32(out, c->index);
	ph_pack_u32(out, c->dsn_notify);
	ph_pack_str(out, c->address);
	pack_opt(out, c->original && strcmp(c->original, c->address) == 0 ? NULL : c->original);
	pack_opt(out, c->dsn_orcpt);
	pack_opt(out, c->route);
}

static size_t opt_bytes(const char *s)
{
	return 1 + (s ? 4 + strlen(s) : 0);
}

/* No less than what encode appends. */
static size_t request_bytes(const struct ph_delivery_request *r)
{
	size_t n = 256 + sizeof(r->ref) + strlen(r->service) + strlen(r->nexthop) + strlen(r->sender), i;

	n += opt_bytes(r->envid) + opt_bytes(r->ret) + opt_bytes(r->encoding);
	for (i = 0; i < r->n_attrs; i++)
		n += 8 + strlen(r->attrs[i].name) + strlen(r->attrs[i].value);
	for (i = 0; i < r->n_rcpts; i++)
		n += 12 + strlen(r->rcpts[i].address) + opt_bytes(r->rcpts[i].original) + opt_bytes(r->rcpts[i].dsn_orcpt) + opt_bytes(r->rcpts[i].route);
	return n;
}

int ph_request_encode(const struct ph_delivery_request *r, struct ph_buf *out)
{
	size_t i;

	/* With the room made here no append below can fail. */
	if (r->n_attrs > UINT32_MAX || r->n_rcpts > UINT32_MAX || ph_buf_reserve(out, request_bytes(r)) < 0)
		return -ENOBUFS;
	ph_pack_u64(out, r->id);
	ph_ref_encode(&r->ref, out);
	ph_pack_str(out, r->service);
	ph_pack_str(out, r->nexthop);
	ph_pack_str(out, r->sender);
	pack_opt(out, r->envid);
	pack_opt(out, r->ret);
	ph_pack_str(out, r->encoding);
	ph_pack_u32(out, r->flags);
	ph_pack_i64(out, r->content_bytes);
	ph_pack_i64(out, r->arrival_us);
	ph_pack_i64(out, r->active_us);
	ph_pack_u32(out, (uint32_t)r->n_attrs);
	for (i = 0; i < r->n_attrs; i++) {
		ph_pack_str(out, r->attrs[i].name);
		ph_pack_str(out, r->attrs[i].value);
	}
	ph_pack_u32(out, (uint32_t)r->n_rcpts);
	for (i = 0; i < r->n_rcpts; i++)
		pack_rcpt(out, &r->rcpts[i]);
	return 0;
}

/* An array of n things that take at least bytes each. */
static void *take_array(struct ph_unpack *u, struct ph_arena *arena, uint32_t n, size_t bytes, size_t size)
{
	if (u->bad || n > u->n / bytes) {
		u->bad = true;
		n = 0;
	}
	return ph_arena_alloc(arena, n * size);
}

static void take_rcpts(struct ph_unpack *u, struct ph_arena *arena, struct ph_delivery_request *r)
{
	uint32_t n = ph_unpack_u32(u), i;

	r->rcpts = take_array(u, arena, n, 15, sizeof(r->rcpts[0]));
	for (i = 0; i < n && !u->bad; i++) {
		struct ph_request_rcpt *c = &r->rcpts[i];

		c->index = ph_unpack_u32(u);
		c->dsn_notify = ph_unpack_u32(u);
		c->address = ph_unpack_str(u, arena);
		c->original = take_opt(u, arena);
		if (c->original == NULL)
			c->original = c->address;
		c->dsn_orcpt = take_opt(u, arena);
		c->route = take_opt(u, arena);
	}
	r->n_rcpts = i;
}

static void take_attrs(struct ph_unpack *u, struct ph_arena *arena, struct ph_delivery_request *r)
{
	uint32_t n = ph_unpack_u32(u), i;

	r->attrs = take_array(u, arena, n, 8, sizeof(r->attrs[0]));
	for (i = 0; i < n && !u->bad; i++) {
		r->attrs[i].name = ph_unpack_str(u, arena);
		r->attrs[i].value = ph_unpack_str(u, arena);
	}
	r->n_attrs = i;
}

int ph_request_decode(struct ph_slice in, struct ph_arena *arena, struct ph_delivery_request **ret)
{
	struct ph_delivery_request *r = ph_arena_alloc(arena, sizeof(*r));
	struct ph_unpack u;

	ph_unpack_init(&u, in);
	r->id = ph_unpack_u64(&u);
	if (ref_take(&u, &r->ref) < 0)
		return -EBADMSG;
	r->service = ph_unpack_str(&u, arena);
	r->nexthop = ph_unpack_str(&u, arena);
	r->sender = ph_unpack_str(&u, arena);
	r->envid = take_opt(&u, arena);
	r->ret = take_opt(&u, arena);
	r->encoding = ph_unpack_str(&u, arena);
	r->flags = ph_unpack_u32(&u);
	r->content_bytes = ph_unpack_i64(&u);
	r->arrival_us = ph_unpack_i64(&u);
	r->active_us = ph_unpack_i64(&u);
	take_attrs(&u, arena, r);
	take_rcpts(&u, arena, r);
	if (!ph_unpack_done(&u) || r->content_bytes < 0)
		return -EBADMSG;
	*ret = r;
	return 0;
}
