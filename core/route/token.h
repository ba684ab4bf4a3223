/* token.h: the words of RFC 5322 addresses, and address lists of headers.  Pure. */
#ifndef CORE_ROUTE_TOKEN_H
#define CORE_ROUTE_TOKEN_H

#include <posthouse/base.h>

enum ph_tok_type {
	PH_TOK_END,
	PH_TOK_ATOM,            /* may hold backslash escapes */
	PH_TOK_QUOTED,          /* text is what stands between the quotes, escapes kept */
	PH_TOK_DOMLIT,          /* with its brackets */
	PH_TOK_COMMENT,         /* with its parentheses, nested ones included */
	PH_TOK_OP,              /* one of . @ % ! < > , ; : */
	PH_TOK_ADDR,            /* lists only: an address; see struct ph_tok_node */
};

struct ph_tok {
	enum ph_tok_type type;
	char op;                /* PH_TOK_OP */
	bool open;              /* the closing quote, bracket or parenthesis is missing */
	struct ph_slice text;
};

/* The next token of [*p, end); *p moves behind it.  White space (folds too) is skipped. */
void ph_tok_next(const char **p, const char *end, struct ph_tok *t);
/* Append a token in internal form: quotes and escapes gone. */
int ph_tok_internal(const struct ph_tok *t, struct ph_buf *out);

/* One address of a list: internal text in, a new internal text (or NULL: leave it) out.  May yield if arg's owner does. */
typedef const char *ph_addrlist_fn(void *arg, const char *address);
/* Go through the addresses of a header's value (groups, comments, phrases, routes).  Where fn changes one, the whole list is
 * written to out in normal form, one item a line (LF between items, after the comma).  max_tokens: what is behind that many
 * tokens is dropped if the list is rewritten (header_address_token_limit).  Number of changed addresses, or -ENOBUFS.
 * Yields when fn does. */
int ph_addrlist_rewrite(const char *text, size_t n, size_t max_tokens, struct ph_arena *arena, ph_addrlist_fn *fn, void *arg,
			struct ph_buf *out);
/* The same walk without changes: fn's result is ignored (sendmail -t, explain).  Number of addresses. */
int ph_addrlist_each(const char *text, size_t n, size_t max_tokens, struct ph_arena *arena, ph_addrlist_fn *fn, void *arg);
#endif
