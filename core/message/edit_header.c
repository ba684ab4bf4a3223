/* edit_header.c: edits of headers, in the order in which the filter asked for them.  Owns the list.  Pure; does not yield.
 *
 * Places are counted as in Postfix: an insertion counts all headers, our own Received: among them; a change counts the headers of its name that the
 * filter has seen or made. */
#include "message/edit_header.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

static void insert(struct ph_header_list *h, size_t at, const struct ph_header_line *l)
{
	if (h->n == h->cap) {
		h->cap = h->cap ? 2 * h->cap : 64;
		h->l = ph_realloc(h->l, h->cap * sizeof(*h->l));
	}
	memmove(&h->l[at + 1], &h->l[at], (h->n - at) * sizeof(*h->l));
	h->l[at] = *l;
	h->n++;
}

size_t ph_header_list_parse(struct ph_header_list *h, const char *block, size_t n, int64_t hidden_at, int64_t hidden_bytes)
{
	size_t at = 0;

	while (at < n) {
		size_t name = ph_header_name(block + at, n - at), end = at;
		struct ph_header_line l;

		if (!name)
			break;
		do {
			const char *nl = memchr(block + end, '\n', n - end);

			end = nl ? (size_t)(nl + 1 - block) : n;
		} while (end < n && (block[end] == ' ' || block[end] == '\t'));
		l = (struct ph_header_line){ .p = block + at, .n = end - at, .name = name,
					     .hidden = (int64_t)at >= hidden_at && (int64_t)at < hidden_at + hidden_bytes };
		insert(h, h->n, &l);
		at = end;
	}
	return at;
}

static struct ph_header_line made(struct ph_header_list *h, const struct ph_edit *e)
{
	char *text = ph_arena_printf(h->arena, "%s:%s%s\n", e->name, e->raw ? "" : " ", e->value);

	return (struct ph_header_line){ .p = text, .n = strlen(text), .name = strlen(e->name) };
}

static void change(struct ph_header_list *h, const struct ph_edit *e)
{
	struct ph_header_line l;
	unsigned nth = 0;

	for (size_t i = 0; i < h->n; i++) {
		const struct ph_header_line *x = &h->l[i];

		if (x->hidden || x->name != strlen(e->name) || strncasecmp(x->p, e->name, x->name) != 0 || ++nth != e->nth)
			continue;
		if (e->value) {
			h->l[i] = made(h, e);
		} else {
			memmove(&h->l[i], &h->l[i + 1], (h->n - i - 1) * sizeof(*h->l));
			h->n--;
		}
		return;
	}
	if (e->value) {                         /* none such: it is added */
		l = made(h, e);
		insert(h, h->n, &l);
	}
}

void ph_header_list_edit(struct ph_header_list *h, const struct ph_edit *e)
{
	struct ph_header_line l;

	switch (e->type) {
	case PH_EDIT_ADD_HEADER:
		l = made(h, e);
		insert(h, h->n, &l);
		break;
	case PH_EDIT_INSERT_HEADER:
		l = made(h, e);
		insert(h, e->nth < h->n ? e->nth : h->n, &l);
		break;
	case PH_EDIT_CHANGE_HEADER:
		change(h, e);
		break;
	default:
		break;
	}
}

void ph_header_list_done(struct ph_header_list *h)
{
	free(h->l);
	h->l = NULL;
	h->n = h->cap = 0;
}
