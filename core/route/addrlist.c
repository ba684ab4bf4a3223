/* addrlist.c: the address lists of message headers: find each address, let it be rewritten, write the list again.
 *
 * Pure but for the caller's function.  Nodes live in the caller's arena, their number is bounded.  RFC 5322 section 3.4 and 4.4.
 * The normal form follows what Postfix writes: comments behind their address, one item a line (the caller joins short lines). */
#include "route/token.h"
#include "route/route.h"

#include <errno.h>
#include <string.h>

enum node_type { N_WORD, N_COMMENT, N_OP, N_ADDR };

struct node {
	enum node_type type;
	char op;                        /* N_OP */
	struct ph_slice text;           /* as it was written; N_ADDR: empty when rebuilt is set */
	bool quoted;                    /* N_WORD: text stands between quotes; N_ADDR: some of it does */
	bool bare_at;                   /* N_ADDR: a@b@c, which needs quotes and has none: it is written anew */
	const char *internal;           /* N_ADDR: what fn gets; NULL: the null address <> */
	const char *changed;            /* N_ADDR: new external text, or NULL */
};

struct list {
	struct ph_arena *arena;
	struct node *nodes;
	size_t n, cap;
	struct ph_buf text;             /* scratch for the internal form */
};

static struct node *push(struct list *l, enum node_type type)
{
	if (l->n == l->cap) {
		size_t cap = l->cap ? 2 * l->cap : 32;
		struct node *more = ph_arena_alloc(l->arena, cap * sizeof(*more));

		if (l->n)
			memcpy(more, l->nodes, l->n * sizeof(*more));
		l->nodes = more;
		l->cap = cap;
	}
	l->nodes[l->n] = (struct node){ .type = type };
	return &l->nodes[l->n++];
}

static void push_op(struct list *l, char op)
{
	push(l, N_OP)->op = op;
}

static void push_word(struct list *l, const struct ph_tok *t)
{
	struct node *n = push(l, t->type == PH_TOK_COMMENT ? N_COMMENT : t->type == PH_TOK_OP ? N_OP : N_WORD);

	n->text = t->text;
	n->op = t->op;
	n->quoted = t->type == PH_TOK_QUOTED;
}

/* A token array for one item of the list (what stands between commas). */
struct item {
	struct ph_tok *tok;
	size_t n, cap;
};

static void item_add(struct list *l, struct item *it, const struct ph_tok *t)
{
	if (it->n == it->cap) {
		size_t cap = it->cap ? 2 * it->cap : 16;
		struct ph_tok *more = ph_arena_alloc(l->arena, cap * sizeof(*more));

		if (it->n)
			memcpy(more, it->tok, it->n * sizeof(*more));
		it->tok = more;
		it->cap = cap;
	}
	it->tok[it->n++] = *t;
}

static bool joins(const struct ph_tok *t)
{
	return t->type == PH_TOK_OP && strchr(".@%!", t->op);
}

/* One address from the tokens [a, b), without comments; its comments follow it. */
static int push_address(struct list *l, const struct item *it, size_t a, size_t b)
{
	struct node *n = push(l, N_ADDR);
	bool word = false, any = false;
	int r = 0, ats = 0;

	ph_buf_clear(&l->text);
	for (size_t i = a; i < b && r >= 0; i++) {
		const struct ph_tok *t = &it->tok[i];

		if (t->type == PH_TOK_COMMENT)
			continue;
		any = true;
		ats += t->type == PH_TOK_OP && t->op == '@';
		n->quoted |= t->type == PH_TOK_QUOTED;
		if (word && t->type != PH_TOK_OP)
			r = ph_buf_putc(&l->text, ' ');
		if (r >= 0)
			r = ph_tok_internal(t, &l->text);
		if (r >= 0 && t->type == PH_TOK_OP && t->op == ',')
			r = ph_buf_putc(&l->text, ' ');
		if (r >= 0 && t->type == PH_TOK_DOMLIT && t->open)
			r = ph_buf_putc(&l->text, ']');
		word = t->type != PH_TOK_OP;
	}
	if (r < 0)
		return r;
	n->bare_at = ats > 1;
	n->internal = any ? ph_arena_strndup(l->arena, ph_buf_str(&l->text), l->text.len) : NULL;
	for (size_t i = a; i < b; i++)
		if (it->tok[i].type == PH_TOK_COMMENT)
			push_word(l, &it->tok[i]);
	return 0;
}

/* Behind a source route "@a,@b:" inside <>. */
static size_t skip_route(const struct item *it, size_t a, size_t b)
{
	if (a < b && it->tok[a].type == PH_TOK_OP && it->tok[a].op == '@')
		for (size_t i = a; i < b; i++)
			if (it->tok[i].type == PH_TOK_OP && it->tok[i].op == ':')
				return i + 1;
	return a;
}

/* Words without <>: each run that operators join is an address. */
static int push_plain(struct list *l, const struct item *it, size_t a, size_t b, bool comma)
{
	size_t start = a;
	int r = 0;

	while (start < b && r >= 0) {
		bool word = false, seen = false;
		size_t i;

		for (i = start; i < b; i++) {
			const struct ph_tok *t = &it->tok[i];

			if (t->type == PH_TOK_COMMENT)
				continue;
			if (word && !joins(t))
				break;
			word = !joins(t);
			seen = true;
		}
		if (!seen) {                    /* comments alone */
			for (; start < b; start++)
				push_word(l, &it->tok[start]);
			break;
		}
		if (comma)
			push_op(l, ',');
		/* Comments between two addresses belong to the second, as Postfix has it. */
		while (i < b && i > start && it->tok[i - 1].type == PH_TOK_COMMENT)
			i--;
		r = push_address(l, it, start, i);
		start = i;
		comma = true;
	}
	return r;
}

static int finish_item(struct list *l, struct item *it, char ended_by)
{
	size_t lt = it->n, gt;
	int r;

	if (it->n && l->n && l->nodes[l->n - 1].type == N_OP && l->nodes[l->n - 1].op == ';')
		push_op(l, ',');                /* "a; b" */
	for (size_t i = 0; i < it->n; i++)
		if (it->tok[i].type == PH_TOK_OP && it->tok[i].op == '<') {
			lt = i;
			break;
		}
	if (ended_by == ':') {                  /* the name of a group */
		for (size_t i = 0; i < it->n; i++)
			push_word(l, &it->tok[i]);
		r = 0;
		goto out;
	}
	if (lt == it->n) {
		r = push_plain(l, it, 0, it->n, false);
		goto out;
	}
	for (gt = lt + 1; gt < it->n; gt++)
		if (it->tok[gt].type == PH_TOK_OP && it->tok[gt].op == '>')
			break;
	for (size_t i = 0; i < lt; i++)
		push_word(l, &it->tok[i]);
	push_op(l, '<');
	r = push_address(l, it, skip_route(it, lt + 1, gt), gt);
	push_op(l, '>');
	if (r == 0 && gt + 1 < it->n)
		r = push_plain(l, it, gt + 1, it->n, true);
out:
	if (r == 0 && ended_by)
		push_op(l, ended_by);
	it->n = 0;
	return r;
}

static int parse(struct list *l, const char *p, const char *end, size_t max_tokens)
{
	struct item it = { 0 };
	bool angle = false;
	struct ph_tok t;
	int r = 0;

	while (max_tokens-- && r == 0) {
		ph_tok_next(&p, end, &t);
		if (t.type == PH_TOK_END)
			break;
		if (t.type == PH_TOK_OP && t.op == '<' && !angle)
			angle = true;
		else if (t.type == PH_TOK_OP && t.op == '>')
			angle = false;
		if (!angle && t.type == PH_TOK_OP && strchr(",;:", t.op))
			r = finish_item(l, &it, t.op);
		else
			item_add(l, &it, &t);
	}
	return r == 0 ? finish_item(l, &it, '\0') : r;
}

/* ---- writing ---- */

static bool wordlike(const struct node *n)
{
	return n->type == N_WORD || n->type == N_COMMENT || n->type == N_ADDR;
}

/* An atom with escapes becomes a quoted string. */
static int put_escaped(const struct node *n, struct ph_buf *out)
{
	int r = ph_buf_putc(out, '"');

	for (size_t i = 0; i < n->text.n && r == 0; i++) {
		if (n->text.p[i] == '\\' && i + 1 < n->text.n)
			i++;
		if (strchr("\"\\", n->text.p[i]) && n->text.p[i])
			r = ph_buf_putc(out, '\\');
		if (r == 0)
			r = ph_buf_putc(out, n->text.p[i]);
	}
	return r == 0 ? ph_buf_putc(out, '"') : r;
}

static int put_node(struct list *l, const struct node *prev, const struct node *n, struct ph_buf *out)
{
	int r = 0;

	if (prev) {
		if (prev->type == N_OP && prev->op == ',')
			r = ph_buf_putc(out, '\n');
		else if ((wordlike(prev) && (wordlike(n) || (n->type == N_OP && n->op == '<'))) || (prev->type == N_OP && prev->op == ':'))
			r = ph_buf_putc(out, ' ');
		else if (prev->type == N_OP && prev->op == ';' && !(n->type == N_OP))
			r = ph_buf_putc(out, ' ');
	}
	if (r < 0)
		return r;
	switch (n->type) {
	case N_OP:
		return ph_buf_putc(out, n->op);
	case N_ADDR:
		if (!n->internal)
			return 0;
		return ph_buf_puts(out, n->changed ? n->changed : ph_address_quote(l->arena, n->internal));
	case N_WORD:
	case N_COMMENT:
		if (!n->quoted && n->type == N_WORD && memchr(n->text.p, '\\', n->text.n))
			return put_escaped(n, out);
		if (!n->quoted)
			return ph_buf_append(out, n->text.p, n->text.n);
		r = ph_buf_putc(out, '"');
		if (r == 0)
			r = ph_buf_append(out, n->text.p, n->text.n);
		return r == 0 ? ph_buf_putc(out, '"') : r;
	}
	return 0;
}

int ph_addrlist_rewrite(const char *text, size_t n, size_t max_tokens, struct ph_arena *arena, ph_addrlist_fn *fn, void *arg, struct ph_buf *out)
{
	struct list l = { .arena = arena, .text = PH_BUF_INIT(n + 16 + 2 * (max_tokens < n ? max_tokens : n)) };
	int changed = 0, r = parse(&l, text, text + n, max_tokens);

	for (size_t i = 0; r == 0 && i < l.n; i++) {
		struct node *a = &l.nodes[i];
		const char *to;

		if (a->type != N_ADDR || !a->internal)
			continue;
		to = fn(arg, a->internal);
		if (!to)
			continue;
		/* Quotes that are not needed go, those that are needed come; that alone is a change, too. */
		a->changed = ph_address_quote(arena, to);
		changed += a->bare_at || strcmp(to, a->internal) != 0 || a->quoted != (strchr(a->changed, '"') != NULL);
	}
	for (size_t i = 0; r == 0 && changed && i < l.n; i++)
		r = put_node(&l, i ? &l.nodes[i - 1] : NULL, &l.nodes[i], out);
	ph_buf_done(&l.text);
	return r < 0 ? r : changed;
}

int ph_addrlist_each(const char *text, size_t n, size_t max_tokens, struct ph_arena *arena, ph_addrlist_fn *fn, void *arg)
{
	struct list l = { .arena = arena, .text = PH_BUF_INIT(2 * n + 16) };
	int count = 0, r = parse(&l, text, text + n, max_tokens);

	for (size_t i = 0; r == 0 && i < l.n; i++)
		if (l.nodes[i].type == N_ADDR && l.nodes[i].internal) {
			fn(arg, l.nodes[i].internal);
			count++;
		}
	ph_buf_done(&l.text);
	return r < 0 ? r : count;
}
