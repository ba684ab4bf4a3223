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
	bool group;                     /* N_OP: the ":" behind a group's name */
	bool unusual;                   /* N_ADDR: a@b@c, which needs quotes and has none, or a source route: it is written anew */
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

/* ---- reading: what each token is part of ----
 *
 * The list is read from its end, as Postfix does: what stands in front of a "<" is a name only because there is a "<" behind it, and a ":" begins a group only when
 * a ";" ends one. */

enum span_type { S_OP, S_GROUP, S_RAW, S_PLAIN, S_ANGLE };

struct span {
	enum span_type type;
	size_t a, b;                    /* tokens [a, b) */
};

struct scan {
	struct ph_tok *tok;
	size_t n_tok;
	struct span *spans;             /* the last one of the list first */
	size_t n;
};

static bool is_tok_op(const struct ph_tok *t, const char *ops)
{
	return t->type == PH_TOK_OP && strchr(ops, t->op);
}

static void add_span(struct scan *s, enum span_type type, size_t a, size_t b)
{
	s->spans[s->n++] = (struct span){ type, a, b };
}

/* Where the words begin that end at i and reach back to one of ops. */
static size_t words_back(const struct scan *s, size_t i, const char *ops)
{
	while (i > 0 && !is_tok_op(&s->tok[i - 1], ops))
		i--;
	return i;
}

/* Where the address begins that ends at i: words that operators join, and the comments among them. */
static size_t plain_back(const struct scan *s, size_t i, bool group)
{
	bool word = false;

	for (; i > 0; i--) {
		const struct ph_tok *t = &s->tok[i - 1];

		if (t->type == PH_TOK_COMMENT)
			continue;
		if (is_tok_op(t, group ? ",;>:" : ",;>") || (word && t->type != PH_TOK_OP))
			break;
		word = t->type != PH_TOK_OP;
	}
	return i;
}

/* "name <address>" that ends in front of the ">" at i; returns where it begins. */
static size_t angle_back(struct scan *s, size_t i, bool group)
{
	size_t lt = words_back(s, i, "<"), name;

	add_span(s, S_OP, i, i + 1);
	add_span(s, S_ANGLE, lt, i);
	if (lt == 0)
		return 0;
	add_span(s, S_OP, lt - 1, lt);
	name = words_back(s, lt - 1, ",;:>");
	if (name < lt - 1)
		add_span(s, S_RAW, name, lt - 1);
	if (name > 0 && !group && is_tok_op(&s->tok[name - 1], ":")) {
		add_span(s, S_RAW, name - 1, name);
		name--;
	}
	return name;
}

static void scan_back(struct scan *s)
{
	bool group = false;
	size_t i = s->n_tok, a;

	while (i > 0) {
		const struct ph_tok *t = &s->tok[i - 1];

		if (is_tok_op(t, ",;")) {
			group |= t->op == ';';
			add_span(s, S_OP, i - 1, i);
			i--;
		} else if (is_tok_op(t, ">")) {
			i = angle_back(s, i - 1, group);
		} else if (group && is_tok_op(t, ":")) {
			add_span(s, S_GROUP, i - 1, i);
			a = words_back(s, --i, ",");
			if (a < i)
				add_span(s, S_RAW, a, i);
			i = a;
		} else {
			a = plain_back(s, i, group);
			add_span(s, S_PLAIN, a, i);
			i = a;
		}
	}
}

/* ---- the nodes ---- */

/* Behind a source route "@a,@b:". */
static size_t skip_route(const struct ph_tok *tok, size_t a, size_t b)
{
	if (a < b && is_tok_op(&tok[a], "@"))
		for (size_t i = a; i < b; i++)
			if (is_tok_op(&tok[i], ":"))
				return i + 1;
	return a;
}

/* One address from the tokens [a, b), without comments; its comments follow it. */
static int push_address(struct list *l, const struct ph_tok *tok, size_t a, size_t b)
{
	struct node *n = push(l, N_ADDR);
	size_t start = skip_route(tok, a, b);
	bool word = false, any = false;
	int r = 0, ats = 0;

	ph_buf_clear(&l->text);
	for (size_t i = start; i < b && r >= 0; i++) {
		const struct ph_tok *t = &tok[i];

		if (t->type == PH_TOK_COMMENT)
			continue;
		ats += is_tok_op(t, "@");
		n->quoted |= t->type == PH_TOK_QUOTED;
		if (any && (word ? t->type != PH_TOK_OP || t->op == '<' : is_tok_op(t, "<")))
			r = ph_buf_putc(&l->text, ' ');
		any = true;
		if (r >= 0)
			r = ph_tok_internal(t, &l->text);
		if (r >= 0 && is_tok_op(t, ","))
			r = ph_buf_putc(&l->text, ' ');
		if (r >= 0 && t->type == PH_TOK_DOMLIT && t->open)
			r = ph_buf_putc(&l->text, ']');
		word = t->type != PH_TOK_OP;
	}
	if (r < 0)
		return r;
	n->unusual = ats > 1 || start > a;
	n->internal = any ? ph_arena_strndup(l->arena, ph_buf_str(&l->text), l->text.len) : NULL;
	for (size_t i = a; i < b; i++)
		if (tok[i].type == PH_TOK_COMMENT)
			push_word(l, &tok[i]);
	return 0;
}

static bool all_comments(const struct ph_tok *tok, size_t a, size_t b)
{
	while (a < b && tok[a].type == PH_TOK_COMMENT)
		a++;
	return a == b;
}

static int push_span(struct list *l, const struct ph_tok *tok, const struct span *s)
{
	const struct node *prev = l->n ? &l->nodes[l->n - 1] : NULL;

	switch (s->type) {
	case S_OP:
	case S_GROUP:
		push_word(l, &tok[s->a]);
		l->nodes[l->n - 1].group = s->type == S_GROUP;
		return 0;
	case S_ANGLE:
		return push_address(l, tok, s->a, s->b);
	case S_PLAIN:
		if (all_comments(tok, s->a, s->b))
			break;
		if (prev && !(prev->type == N_OP && strchr(",:", prev->op)))    /* "a b", "a; b" */
			push_op(l, ',');
		return push_address(l, tok, s->a, s->b);
	case S_RAW:
		break;
	}
	for (size_t i = s->a; i < s->b; i++)
		push_word(l, &tok[i]);
	return 0;
}

static int parse(struct list *l, const char *p, const char *end, size_t max_tokens)
{
	struct scan s = { 0 };
	size_t cap = 0;
	int r = 0;

	while (max_tokens--) {
		if (s.n_tok == cap) {
			struct ph_tok *more = ph_arena_alloc(l->arena, (cap = cap ? 2 * cap : 32) * sizeof(*more));

			if (s.n_tok)
				memcpy(more, s.tok, s.n_tok * sizeof(*more));
			s.tok = more;
		}
		ph_tok_next(&p, end, &s.tok[s.n_tok]);
		if (s.tok[s.n_tok].type == PH_TOK_END)
			break;
		s.n_tok++;
	}
	s.spans = ph_arena_alloc(l->arena, (2 * s.n_tok + 1) * sizeof(*s.spans));      /* "<>" has three for its two tokens */
	scan_back(&s);
	while (s.n > 0 && r == 0)
		r = push_span(l, s.tok, &s.spans[--s.n]);
	return r;
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

/* An empty local part without a domain has its quotes: "<>" is another address. */
static const char *quote(struct ph_arena *arena, const char *internal)
{
	return *internal && strcmp(internal, "@") != 0 ? ph_address_quote(arena, internal) : "\"\"";
}

static int put_node(struct list *l, const struct node *prev, const struct node *n, struct ph_buf *out)
{
	int r = 0;

	if (prev && !(prev->type == N_OP && prev->op == ',') && ((wordlike(prev) && wordlike(n)) || prev->group || (n->type == N_OP && n->op == '<')))
		r = ph_buf_putc(out, ' ');
	if (r < 0)
		return r;
	switch (n->type) {
	case N_OP:
		r = ph_buf_putc(out, n->op);
		return r == 0 && n->op == ',' ? ph_buf_putc(out, '\n') : r;
	case N_ADDR:
		if (!n->internal)
			return 0;
		return ph_buf_puts(out, n->changed ? n->changed : quote(l->arena, n->internal));
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
		a->changed = quote(arena, to);
		changed += a->unusual || !strcmp(to, "@") || strcmp(to, a->internal) != 0 || a->quoted != (strchr(a->changed, '"') != NULL);
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
