/* cidr.c: lookup "cidr:/file": network blocks in order, first match wins.
 *
 * Owns the rules of each table.  Does not yield.  Source: cidr_table(5). */
#include "common/rules.h"
#include <posthouse/lookup.h>

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct block {
	int family;             /* AF_INET, AF_INET6 */
	unsigned bits;          /* of the prefix */
	uint8_t addr[16];
};

struct rule {
	struct block net;
	char *value;            /* NULL: if */
	bool negate;
	int line;
	size_t skip_to;         /* if: the rule behind its endif */
};

struct table {
	struct rule *rules;
	size_t n, cap;
};

static bool parse_addr(const char *s, struct block *b)
{
	b->family = strchr(s, ':') ? AF_INET6 : AF_INET;
	b->bits = b->family == AF_INET6 ? 128 : 32;
	memset(b->addr, 0, sizeof b->addr);
	return inet_pton(b->family, s, b->addr) == 1;
}

static bool block_has(const struct block *net, const struct block *host)
{
	unsigned bytes = net->bits / 8, rest = net->bits % 8;

	if (memcmp(net->addr, host->addr, bytes) != 0)
		return false;
	return rest == 0 || ((net->addr[bytes] ^ host->addr[bytes]) >> (8 - rest)) == 0;
}

/* Clear the host's bits; true when some were set. */
static bool clear_host_bits(struct block *b)
{
	unsigned total = b->family == AF_INET6 ? 128 : 32;
	bool any = false;

	for (unsigned i = b->bits; i < total; i++) {
		uint8_t bit = (uint8_t)(0x80 >> (i % 8));

		any = any || (b->addr[i / 8] & bit);
		b->addr[i / 8] &= (uint8_t)~bit;
	}
	return any;
}

/* "10.0.0.0/8", "[2001:db8::]/32", "10.1.1.1".  0, or negative with Postfix's words. */
static int parse_block(char *s, struct block *b, struct ph_err *err)
{
	char whole[128], addr[INET6_ADDRSTRLEN], *slash, *host = s;
	int64_t bits;
	size_t n;

	snprintf(whole, sizeof whole, "%s", s);
	if (*host == '[') {
		char *end = strchr(host, ']');

		if (end == NULL)
			return ph_err_set(err, -EINVAL, "missing ']' character after \"%s\": skipping this rule", whole);
		n = (size_t)(end - host);
		memmove(end, end + 1, strlen(end));
		host++;
		if (n == 1)
			return ph_err_set(err, -EINVAL, "bad address pattern: \"%s\": skipping this rule", whole);
	}
	slash = strchr(host, '/');
	if (slash)
		*slash++ = '\0';
	if (!parse_addr(host, b))
		return ph_err_set(err, -EINVAL, slash ? "bad network value in \"%s\": skipping this rule" :
				  "bad address pattern: \"%s\": skipping this rule", whole);
	if (slash == NULL)
		return 0;
	if (slash[0] == '\0' || strspn(slash, "0123456789") != strlen(slash))
		return ph_err_set(err, -EINVAL, "bad mask value in \"%s\": skipping this rule", whole);
	if (ph_str_int64(slash, 0, b->bits, &bits) < 0)
		return ph_err_set(err, -EINVAL, "bad mask length in \"%s\": skipping this rule", whole);
	b->bits = (unsigned)bits;
	if (clear_host_bits(b))
		return ph_err_set(err, -EINVAL, "non-null host address bits in \"%s\", perhaps you should use \"%s/%u\" instead: "
				  "skipping this rule", whole, inet_ntop(b->family, b->addr, addr, sizeof addr), b->bits);
	return 0;
}

static struct rule *add(struct table *t, int line)
{
	struct rule *x;

	if (t->n == t->cap) {
		t->cap = t->cap ? t->cap * 2 : 16;
		t->rules = ph_realloc(t->rules, t->cap * sizeof *t->rules);
	}
	x = &t->rules[t->n++];
	memset(x, 0, sizeof *x);
	x->line = line;
	return x;
}

static char *skip_not(char *p, bool *negate)
{
	*negate = false;
	while (*p == '!') {
		*negate = !*negate;
		for (p++; isspace((unsigned char)*p); p++)
			;
	}
	return p;
}

static bool is_word(const char *p, const char *word)
{
	size_t n = strlen(word);

	return strncasecmp(p, word, n) == 0 && (p[n] == '\0' || isspace((unsigned char)p[n]) || p[n] == '!');
}

static int parse_match(struct table *t, char *p, int line, struct ph_err *err)
{
	struct block net;
	struct rule *x;
	bool negate;
	char *value;

	p = skip_not(p, &negate);
	for (value = p; *value && !isspace((unsigned char)*value); value++)
		;
	if (*value)
		*value++ = '\0';
	value = ltext_trim(value);
	if (parse_block(p, &net, err) < 0)
		return -EINVAL;
	if (*value == '\0')
		return ph_err_set(err, -EINVAL, "no lookup result: skipping this rule");
	x = add(t, line);
	x->net = net;
	x->negate = negate;
	x->value = ph_strdup(value);
	return 0;
}

static int parse_line(struct table *t, char *p, int line, struct lnest *nest, struct ph_err *err)
{
	struct block net;
	struct rule *x;
	bool negate;
	size_t at;

	if (is_word(p, "if")) {
		p = skip_not(ltext_trim(p + 2), &negate);
		if (*p == '\0')
			return ph_err_set(err, -EINVAL, "no address pattern: skipping this rule");
		if (parse_block(p, &net, err) < 0)
			return -EINVAL;
		lnest_push(nest, t->n);
		x = add(t, line);
		x->net = net;
		x->negate = negate;
		return 0;
	}
	if (is_word(p, "endif")) {
		if (*ltext_trim(p + 5))
			return ph_err_set(err, -EINVAL, "garbage after ENDIF: skipping this rule");
		if (!lnest_pop(nest, &at))
			return ph_err_set(err, -EINVAL, "ENDIF without IF: skipping this rule");
		t->rules[at].skip_to = t->n;
		return 0;
	}
	return parse_match(t, p, line, err);
}

static void table_close(void *table)
{
	struct table *t = table;

	for (size_t i = 0; i < t->n; i++)
		free(t->rules[i].value);
	free(t->rules);
	free(t);
}

static struct table *table_parse(struct ltext *text)
{
	struct table *t = ph_alloc(sizeof *t);
	struct lnest nest = { NULL, 0 };
	struct ph_err err;
	size_t at;
	char *line;
	int lineno;

	while (t->n < LRULES_MAX && (line = ltext_next(text, &lineno)) != NULL) {
		err.text[0] = '\0';
		if (parse_line(t, line, lineno, &nest, &err) < 0)
			ph_log(PH_LOG_WARNING, "cidr map %s, line %d: %s", ltext_name(text), lineno, err.text);
	}
	while (lnest_pop(&nest, &at)) {
		ph_log(PH_LOG_WARNING, "cidr map %s, line %d: IF has no matching ENDIF", ltext_name(text), t->rules[at].line);
		t->rules[at].skip_to = t->n;
	}
	lnest_done(&nest);
	return t;
}

static int table_open(const struct ph_table_spec *spec, void **ret, struct ph_err *err)
{
	struct ltext *text;
	int r;

	if (spec->mode != PH_TABLE_READ)
		return ph_err_set(err, -EROFS, "cidr:%s map requires O_RDONLY access mode", spec->name);
	r = ltext_open("cidr map", spec->name, true, &text, err);
	if (r < 0)
		return r;
	*ret = table_parse(text);
	ltext_free(&text);
	return 0;
}

static enum ph_lookup table_get(void *table, const char *key, struct ph_arena *arena, const char **ret_value, struct ph_err *err)
{
	struct table *t = table;
	struct block host;

	if (!parse_addr(key, &host))
		return PH_LOOKUP_NOTFOUND;
	for (size_t i = 0; i < t->n; ) {
		const struct rule *x = &t->rules[i];
		/* A pattern of the other family matches nothing, negated or not. */
		bool hit = x->net.family == host.family && block_has(&x->net, &host) != x->negate;

		if (hit && x->value) {
			*ret_value = x->value;
			return PH_LOOKUP_FOUND;
		}
		i = !hit && x->value == NULL ? x->skip_to : i + 1;
	}
	return PH_LOOKUP_NOTFOUND;
}

static const struct ph_lookup_ops ops = {
	.size = sizeof ops, .flags = PH_LOOKUP_PATTERN | PH_LOOKUP_FILE | PH_LOOKUP_TEXT,
	.open = table_open, .get = table_get, .close = table_close,
};

PH_MODULE(PH_KIND_LOOKUP, "cidr", "1.0", "network blocks (CIDR notation)", .ops.lookup = &ops);
