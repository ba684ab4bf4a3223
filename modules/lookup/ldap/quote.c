/* quote.c: keys in filters and names, and names of attributes.  Pure.  Source: RFC 4515 section 3, RFC 4514 section 2.4, RFC 4516. */
#include "ldap.h"

#include <errno.h>
#include <string.h>

static int put_hex(struct ph_buf *out, unsigned char c)
{
	static const char hex[] = "0123456789abcdef";

	if (ph_buf_putc(out, '\\') < 0 || ph_buf_putc(out, hex[c >> 4]) < 0 || ph_buf_putc(out, hex[c & 15]) < 0)
		return -ENOBUFS;
	return 0;
}

int ldapt_quote_filter(void *ctx, const char *part, size_t n, struct ph_buf *out)
{
	for (size_t i = 0; i < n; i++) {
		unsigned char c = (unsigned char)part[i];
		bool special = c == '*' || c == '(' || c == ')' || c == '\\' || c < 32 || c == 127;

		if ((special ? put_hex(out, c) : ph_buf_putc(out, c)) < 0)
			return -ENOBUFS;
	}
	return 0;
}

int ldapt_quote_dn(void *ctx, const char *part, size_t n, struct ph_buf *out)
{
	for (size_t i = 0; i < n; i++) {
		unsigned char c = (unsigned char)part[i];
		bool edge = i == 0 || i + 1 == n;
		bool special = strchr(",+\"\\<>;=", c) || c < 32 || c == 127 || (c == ' ' && edge) || (c == '#' && i == 0);

		if ((special ? put_hex(out, c) : ph_buf_putc(out, c)) < 0)
			return -ENOBUFS;
	}
	return 0;
}

/* ---- attributes ---- */

static size_t base_len(const char *attr)
{
	return strcspn(attr, ";");
}

static bool same_base(const char *a, const char *b)
{
	size_t n = base_len(a);

	return n == base_len(b) && strncasecmp(a, b, n) == 0;
}

bool ldapt_listed(const struct ldapt_attrs *list, const char *attr)
{
	for (size_t i = 0; i < list->n; i++)
		if (ph_str_ieq(list->name[i], attr) || (!strchr(list->name[i], ';') && same_base(list->name[i], attr)))
			return true;
	return false;
}

void ldapt_select(char *const *wanted, char *const *attrs, char *ret[4 * LDAPT_MAX_ATTRS + 1])
{
	bool all = attrs == NULL || attrs[0] == NULL;
	size_t n = 0;

	for (size_t w = 0; wanted[w]; w++) {
		char *found = all ? wanted[w] : NULL;

		for (size_t i = 0; !all && attrs[i] && !found; i++) {
			bool mine = strchr(wanted[w], ';') != NULL, theirs = strchr(attrs[i], ';') != NULL;

			if (strcmp(attrs[i], "*") == 0 || ph_str_ieq(attrs[i], wanted[w]))
				found = wanted[w];
			else if (mine != theirs && same_base(attrs[i], wanted[w]))
				found = mine ? wanted[w] : attrs[i];
		}
		if (found)
			ret[n++] = found;
	}
	ret[n] = NULL;
}
