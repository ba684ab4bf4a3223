/* header_map.c: the addresses of a header, rewritten.  See posthouse/message.h.  No state; yields where the caller's function does. */
#include <posthouse/message.h>

#include <string.h>

#include "message/header.h"
#include "route/token.h"

#define FOLD_AT 70
#define TOKENS_MAX 10240                /* header_address_token_limit's default: what comes in has passed that already */

void ph_header_join_lines(struct ph_buf *b)
{
	size_t start = 0, end;

	for (size_t i = 0; i < b->len; i++) {
		if (b->data[i] != '\n')
			continue;
		for (end = i + 1; end < b->len && b->data[end] != '\n'; end++)
			;
		if (end - start < FOLD_AT)
			b->data[i] = ' ';
		else
			start = i + 1;
	}
}

/* Each continuation gets its tab. */
static void put_folded(const struct ph_buf *in, struct ph_buf *out)
{
	size_t i;

	for (i = 0; i < in->len; i++) {
		ph_buf_putc(out, in->data[i]);
		if (in->data[i] == '\n' && i + 1 < in->len && in->data[i + 1] != ' ' && in->data[i + 1] != '\t')
			ph_buf_putc(out, '\t');
	}
}

int ph_header_map_addresses(const char *line, size_t n, struct ph_arena *arena, const char *(*fn)(void *arg, const char *address), void *arg, struct ph_buf *out)
{
	size_t name = ph_header_name(line, n), value = ph_header_value(line, n);
	struct ph_buf b;
	int r;

	if (name == 0 || !(ph_header_find(line, name)->flags & (PH_HDRF_SENDER | PH_HDRF_RCPT)))
		return 0;
	ph_buf_init(&b, out->max);
	ph_buf_append(&b, line, name);
	ph_buf_puts(&b, ": ");
	r = ph_addrlist_rewrite(line + value, n - value, TOKENS_MAX, arena, fn, arg, &b);
	if (r > 0) {
		ph_header_join_lines(&b);
		put_folded(&b, out);
	}
	ph_buf_done(&b);
	return r > 0 ? 1 : r;
}
