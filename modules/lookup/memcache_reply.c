/* memcache_reply.c: see memcache_reply.h.  Source: memcached's protocol.txt (text protocol). */
#include "memcache_reply.h"

#include <string.h>

/* A line that ends in CR LF, within max bytes.  MORE, BAD, or NONE with *ret (without its end) and *ret_used. */
static enum mreply read_line(const char *p, size_t n, size_t max, struct ph_slice *ret, size_t *ret_used, const char **ret_why)
{
	const char *lf = n ? memchr(p, '\n', n) : NULL;

	if (lf == NULL ? n > max : (size_t)(lf - p) > max) {
		*ret_why = "a reply line is too long (line_size_limit)";
		return MREPLY_BAD;
	}
	if (lf == NULL)
		return MREPLY_MORE;
	if (lf == p || lf[-1] != '\r' || memchr(p, '\0', (size_t)(lf - p))) {
		*ret_why = "a reply line that does not end in CR LF";
		return MREPLY_BAD;
	}
	ret->p = p;
	ret->n = (size_t)(lf - 1 - p);
	*ret_used = (size_t)(lf + 1 - p);
	return MREPLY_NONE;
}

static bool is(struct ph_slice line, const char *word)
{
	return line.n == strlen(word) && memcmp(line.p, word, line.n) == 0;
}

static bool starts(struct ph_slice line, const char *word)
{
	return line.n >= strlen(word) && memcmp(line.p, word, strlen(word)) == 0;
}

static bool is_error(struct ph_slice line)
{
	return is(line, "ERROR") || starts(line, "CLIENT_ERROR") || starts(line, "SERVER_ERROR");
}

/* " 123" at *p: the number; false when there is none, or it is beyond max + 1 (which stands for "too much"). */
static bool number(const char **p, const char *end, size_t max, size_t *ret)
{
	const char *s = *p;
	size_t v = 0;

	if (s == end || *s != ' ' || ++s == end || *s < '0' || *s > '9')
		return false;
	for (; s < end && *s >= '0' && *s <= '9'; s++)
		v = v > max ? max + 1 : v * 10 + (size_t)(*s - '0');
	*p = s;
	*ret = v;
	return true;
}

/* "VALUE key flags bytes" (a fourth number, of gets, is not asked for). */
static bool value_line(struct ph_slice line, const char *key, size_t max, size_t *ret_bytes)
{
	size_t k = strlen(key), flags;
	const char *p = line.p + 6, *end = line.p + line.n;

	if ((size_t)(end - p) < k || memcmp(p, key, k) != 0)
		return false;
	p += k;
	return number(&p, end, 4294967295u, &flags) && number(&p, end, max, ret_bytes) && p == end;
}

enum mreply mreply_get(const char *p, size_t n, const char *key, size_t line_max, size_t data_max, struct ph_slice *ret_value, size_t *ret_used,
		       const char **ret_why)
{
	struct ph_slice line;
	size_t used, bytes;
	enum mreply r = read_line(p, n, line_max, &line, &used, ret_why);

	if (r != MREPLY_NONE)
		return r;
	*ret_used = used;
	if (is(line, "END"))
		return MREPLY_NONE;
	*ret_value = line;
	if (is_error(line))
		return MREPLY_ERROR;
	if (!starts(line, "VALUE ") || !value_line(line, key, data_max, &bytes)) {
		*ret_why = "not an answer to this key";
		return MREPLY_BAD;
	}
	if (bytes > data_max) {
		*ret_why = "the value is too long (data_size_limit)";
		return MREPLY_BAD;
	}
	if (n - used < bytes + 7) {     /* value CR LF END CR LF */
		return MREPLY_MORE;
	}
	if (memcmp(p + used + bytes, "\r\nEND\r\n", 7) != 0) {
		*ret_why = "the value does not end where it should";
		return MREPLY_BAD;
	}
	ret_value->p = p + used;
	ret_value->n = bytes;
	*ret_used = used + bytes + 7;
	return MREPLY_VALUE;
}

enum mreply mreply_line(const char *p, size_t n, size_t line_max, struct ph_slice *ret_text, size_t *ret_used, const char **ret_why)
{
	enum mreply r = read_line(p, n, line_max, ret_text, ret_used, ret_why);

	if (r != MREPLY_NONE)
		return r;
	if (is(*ret_text, "STORED"))
		return MREPLY_STORED;
	if (is(*ret_text, "DELETED"))
		return MREPLY_DELETED;
	if (is(*ret_text, "NOT_FOUND"))
		return MREPLY_NOT_FOUND;
	if (is_error(*ret_text) || is(*ret_text, "NOT_STORED"))
		return MREPLY_ERROR;
	*ret_why = "an answer that was not expected";
	return MREPLY_BAD;
}
