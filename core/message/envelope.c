/* envelope.c: the envelope as bytes and back.  No state; does not yield; any thread but for the arena.
 *
 * Items of u8 tag, u32 length (little-endian), payload.  The first is FIXED, the last END.  An unknown tag is skipped, so that
 * items can be added.  What is absent (NULL) has no item; texts have no NUL inside. */
#include <errno.h>
#include <string.h>

#include "base/pack.h"
#include "message/envelope.h"

enum tag {
	TAG_FIXED = 1,          /* i64 arrival_us, i64 content_bytes, u32 flags, u32 recipients, u32 attributes */
	TAG_SENDER, TAG_ENVID, TAG_RET, TAG_ENCODING, TAG_FILTER, TAG_REDIRECT,         /* text */
	TAG_ATTR,               /* str name, str value */
	TAG_RCPT,               /* u8 notify, u8 has (1: original, 2: orcpt), str address, [str original], [str orcpt] */
	TAG_END,
};
enum { HAS_ORIGINAL = 1, HAS_ORCPT = 2 };
#define FIXED_BYTES (8 + 8 + 4 + 4 + 4)
#define ITEM_HEAD 5

/* ---- writing ------------------------------------------------------------------------------ */

static int item(struct ph_buf *out, enum tag tag, size_t bytes)
{
	if (bytes > UINT32_MAX || ph_buf_reserve(out, bytes + ITEM_HEAD) < 0)
		return -ENOBUFS;
	ph_pack_u8(out, (uint8_t)tag);
	return ph_pack_u32(out, (uint32_t)bytes);
}

static int text_item(struct ph_buf *out, enum tag tag, const char *s)
{
	size_t n;

	if (s == NULL)
		return 0;
	n = strlen(s);
	if (item(out, tag, n) < 0)
		return -ENOBUFS;
	return ph_buf_append(out, s, n);
}

static int fixed_item(struct ph_buf *out, const struct ph_envelope *env)
{
	if (item(out, TAG_FIXED, FIXED_BYTES) < 0 || env->n_rcpts > UINT32_MAX || env->n_attrs > UINT32_MAX)
		return -ENOBUFS;
	ph_pack_i64(out, env->arrival_us);
	ph_pack_i64(out, env->content_bytes);
	ph_pack_u32(out, env->flags);
	ph_pack_u32(out, (uint32_t)env->n_rcpts);
	return ph_pack_u32(out, (uint32_t)env->n_attrs);
}

static int attr_item(struct ph_buf *out, const struct ph_attr *a)
{
	if (item(out, TAG_ATTR, 8 + strlen(a->name) + strlen(a->value)) < 0)
		return -ENOBUFS;
	ph_pack_str(out, a->name);
	return ph_pack_str(out, a->value);
}

static int rcpt_item(struct ph_buf *out, const struct ph_rcpt *r)
{
	bool original = r->original && strcmp(r->original, r->address) != 0;
	size_t bytes = 2 + 4 + strlen(r->address);

	if (original)
		bytes += 4 + strlen(r->original);
	if (r->dsn_orcpt)
		bytes += 4 + strlen(r->dsn_orcpt);
	if (item(out, TAG_RCPT, bytes) < 0)
		return -ENOBUFS;
	ph_pack_u8(out, (uint8_t)r->dsn_notify);
	ph_pack_u8(out, (uint8_t)((original ? HAS_ORIGINAL : 0) | (r->dsn_orcpt ? HAS_ORCPT : 0)));
	ph_pack_str(out, r->address);
	if (original)
		ph_pack_str(out, r->original);
	if (r->dsn_orcpt)
		ph_pack_str(out, r->dsn_orcpt);
	return 0;
}

int ph_envelope_encode(const struct ph_envelope *env, struct ph_buf *out)
{
	size_t start = out->len, i;

	if (fixed_item(out, env) < 0 || text_item(out, TAG_SENDER, env->sender) < 0 || text_item(out, TAG_ENVID, env->envid) < 0 ||
	    text_item(out, TAG_RET, env->ret) < 0 || text_item(out, TAG_ENCODING, env->encoding) < 0 ||
	    text_item(out, TAG_FILTER, env->filter) < 0 || text_item(out, TAG_REDIRECT, env->redirect) < 0)
		goto full;
	for (i = 0; i < env->n_attrs; i++)
		if (attr_item(out, &env->attrs[i]) < 0)
			goto full;
	for (i = 0; i < env->n_rcpts; i++)
		if (rcpt_item(out, &env->rcpts[i]) < 0)
			goto full;
	if (item(out, TAG_END, 0) == 0)
		return 0;
full:
	out->len = start;
	if (out->data)
		out->data[start] = '\0';
	return -ENOBUFS;
}

/* ---- reading ------------------------------------------------------------------------------ */

struct reader {
	struct ph_arena *arena;
	struct ph_envelope *env;
	size_t rcpts_max, attrs_max;    /* as FIXED says */
};

/* Each recipient and attribute takes at least its item's head: what cannot be true must not allocate. */
static int read_fixed(struct reader *r, struct ph_unpack *u, size_t bytes_left)
{
	struct ph_envelope *env = r->env;

	env->arrival_us = ph_unpack_i64(u);
	env->content_bytes = ph_unpack_i64(u);
	env->flags = ph_unpack_u32(u);
	r->rcpts_max = ph_unpack_u32(u);
	r->attrs_max = ph_unpack_u32(u);
	if (u->bad || env->content_bytes < 0 || r->rcpts_max > bytes_left / ITEM_HEAD || r->attrs_max > bytes_left / ITEM_HEAD)
		return -EBADMSG;
	env->rcpts = ph_arena_alloc(r->arena, r->rcpts_max * sizeof(env->rcpts[0]));
	env->attrs = ph_arena_alloc(r->arena, r->attrs_max * sizeof(env->attrs[0]));
	return 0;
}

static int read_text(struct reader *r, struct ph_slice s, const char **ret)
{
	if (s.n > 0 && memchr(s.p, '\0', s.n))
		return -EBADMSG;
	*ret = ph_arena_strndup(r->arena, s.p, s.n);
	return 0;
}

static int read_attr(struct reader *r, struct ph_unpack *u)
{
	struct ph_attr *a;

	if (r->env->n_attrs == r->attrs_max)
		return -EBADMSG;
	a = &r->env->attrs[r->env->n_attrs++];
	a->name = ph_unpack_str(u, r->arena);
	a->value = ph_unpack_str(u, r->arena);
	return u->bad ? -EBADMSG : 0;
}

static int read_rcpt(struct reader *r, struct ph_unpack *u)
{
	struct ph_rcpt *rcpt;
	unsigned has;

	if (r->env->n_rcpts == r->rcpts_max)
		return -EBADMSG;
	rcpt = &r->env->rcpts[r->env->n_rcpts++];
	rcpt->dsn_notify = ph_unpack_u8(u);
	has = ph_unpack_u8(u);
	rcpt->address = ph_unpack_str(u, r->arena);
	rcpt->original = has & HAS_ORIGINAL ? ph_unpack_str(u, r->arena) : rcpt->address;
	rcpt->dsn_orcpt = has & HAS_ORCPT ? ph_unpack_str(u, r->arena) : NULL;
	return u->bad ? -EBADMSG : 0;
}

static int read_item(struct reader *r, unsigned tag, struct ph_slice s, size_t bytes_left)
{
	struct ph_envelope *env = r->env;
	struct ph_unpack u;

	ph_unpack_init(&u, s);
	switch (tag) {
	case TAG_FIXED:
		return env->rcpts ? -EBADMSG : read_fixed(r, &u, bytes_left);
	case TAG_SENDER:
		return read_text(r, s, &env->sender);
	case TAG_ENVID:
		return read_text(r, s, &env->envid);
	case TAG_RET:
		return read_text(r, s, &env->ret);
	case TAG_ENCODING:
		return read_text(r, s, &env->encoding);
	case TAG_FILTER:
		return read_text(r, s, &env->filter);
	case TAG_REDIRECT:
		return read_text(r, s, &env->redirect);
	case TAG_ATTR:
		return read_attr(r, &u);
	case TAG_RCPT:
		return read_rcpt(r, &u);
	default:
		return 0;
	}
}

int ph_envelope_decode(struct ph_slice in, struct ph_arena *arena, struct ph_envelope **ret, struct ph_err *err)
{
	struct reader r = { .arena = arena, .env = ph_arena_alloc(arena, sizeof(*r.env)) };
	size_t total = in.n;
	struct ph_unpack u;
	struct ph_slice s;
	unsigned tag;

	r.env->encoding = "";
	ph_unpack_init(&u, in);
	for (;;) {
		tag = ph_unpack_u8(&u);
		s = ph_unpack_bytes(&u);
		if (u.bad || (r.env->rcpts == NULL && tag != TAG_FIXED))
			break;
		if (tag == TAG_END) {
			if (u.n != 0 || s.n != 0 || r.env->sender == NULL || r.env->n_rcpts != r.rcpts_max ||
			    r.env->n_attrs != r.attrs_max)
				break;
			*ret = r.env;
			return 0;
		}
		if (read_item(&r, tag, s, u.n) < 0)
			break;
	}
	return ph_err_set(err, -EBADMSG, "damaged envelope at byte %zu of %zu", total - u.n, total);
}

const char *ph_envelope_attr(const struct ph_envelope *env, const char *name)
{
	size_t i;

	for (i = 0; i < env->n_attrs; i++)
		if (strcmp(env->attrs[i].name, name) == 0)
			return env->attrs[i].value;
	return NULL;
}

bool ph_envelope_attr_own(const char *name)
{
	static const char *const own[] = { "notice_of", "notice_kind", "notice_rcpts", "requeue_of", "maildrop_id", "refused", "deleted_recipients", "queue_service" };
	size_t i;

	for (i = 0; i < PH_ARRAY_LEN(own); i++)
		if (strcmp(own[i], name) == 0)
			return true;
	return false;
}
