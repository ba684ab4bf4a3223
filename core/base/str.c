/* str.c: ASCII text, tokens and numbers, independent of the locale.  No state; no yield; any thread. */
#include <errno.h>
#include <string.h>

#include "base/str.h"

static inline int lower(int c)
{
	return c >= 'A' && c <= 'Z' ? c + ('a' - 'A') : c;
}

char *ph_str_lower(char *s)
{
	char *p;

	for (p = s; *p; p++)
		*p = (char)lower((unsigned char)*p);
	return s;
}

bool ph_str_ieq(const char *a, const char *b)
{
	while (*a && lower((unsigned char)*a) == lower((unsigned char)*b)) {
		a++;
		b++;
	}
	return *a == '\0' && *b == '\0';
}

bool ph_str_istarts(const char *s, const char *prefix)
{
	while (*prefix) {
		if (lower((unsigned char)*s) != lower((unsigned char)*prefix))
			return false;
		s++;
		prefix++;
	}
	return true;
}

/* The end of the "{ ... }" that starts at p (behind its brace), or NULL when it is not closed. */
static char *brace_end(char *p)
{
	size_t depth = 0;

	for (; *p; p++) {
		if (*p == '{')
			depth++;
		else if (*p == '}' && --depth == 0)
			return p + 1;
	}
	return NULL;
}

/* Braces count anywhere in a token, so that "inline:{ {a=b}, c=d }" is one. */
char *ph_str_token(char **cursor, const char *sep)
{
	size_t depth = 0;
	char *start, *end;

	if (*cursor == NULL)
		return NULL;
	start = *cursor + strspn(*cursor, sep);
	for (end = start; *end; end++) {
		if (*end == '{')
			depth++;
		else if (depth > 0 && *end == '}')
			depth--;
		else if (depth == 0 && strchr(sep, *end))
			break;
	}
	*cursor = *end ? end + 1 : end;
	if (end == start)
		return NULL;
	*end = '\0';
	return start;
}

char *ph_str_unbrace(char *s)
{
	static const char space[] = " \t\r\n";
	size_t n = strlen(s);

	if (n < 2 || s[0] != '{' || s[n - 1] != '}' || brace_end(s) != s + n)
		return s;
	s[n - 1] = '\0';
	s += 1 + strspn(s + 1, space);
	n = strlen(s);
	while (n > 0 && strchr(space, s[n - 1]))
		s[--n] = '\0';
	return s;
}

/* Length of the UTF-8 sequence at p (n > 0 bytes left), 0 when it is not valid (RFC 3629: no overlong
 * forms, no surrogates, nothing above U+10FFFF). */
static size_t utf8_sequence(const unsigned char *p, size_t n)
{
	unsigned char lo = 0x80, hi = 0xbf;
	size_t len, i;

	if (p[0] < 0x80)
		return 1;
	if (p[0] < 0xc2 || p[0] > 0xf4)
		return 0;
	len = p[0] < 0xe0 ? 2 : p[0] < 0xf0 ? 3 : 4;
	if (len > n)
		return 0;
	if (p[0] == 0xe0)
		lo = 0xa0;
	else if (p[0] == 0xed)
		hi = 0x9f;
	else if (p[0] == 0xf0)
		lo = 0x90;
	else if (p[0] == 0xf4)
		hi = 0x8f;
	if (p[1] < lo || p[1] > hi)
		return 0;
	for (i = 2; i < len; i++)
		if ((p[i] & 0xc0) != 0x80)
			return 0;
	return len;
}

bool ph_utf8_valid(const char *s, size_t n)
{
	const unsigned char *p = (const unsigned char *)s;
	size_t len;

	while (n > 0) {
		len = utf8_sequence(p, n);
		if (len == 0)
			return false;
		p += len;
		n -= len;
	}
	return true;
}

void ph_str_make_printable(char *dst, const char *src, size_t n, bool utf8_ok)
{
	const unsigned char *p = (const unsigned char *)src;
	size_t i = 0, len;

	while (i < n) {
		len = 1;
		if (p[i] >= 0x20 && p[i] < 0x7f)
			dst[i] = src[i];
		else if (utf8_ok && p[i] >= 0x80 && (len = utf8_sequence(p + i, n - i)) > 0)
			memmove(dst + i, src + i, len);
		else
			dst[i] = '?', len = 1;
		i += len;
	}
	dst[n] = '\0';
}

char *ph_str_printable(struct ph_arena *a, const char *s, size_t n, bool utf8_ok)
{
	char *copy = ph_arena_alloc(a, n + 1);

	ph_str_make_printable(copy, s, n, utf8_ok);
	return copy;
}

int ph_str_int64(const char *s, int64_t min, int64_t max, int64_t *ret)
{
	bool negative = *s == '-';
	uint64_t value = 0, limit = negative ? (uint64_t)INT64_MAX + 1 : INT64_MAX;
	const char *p = s + negative;
	bool over = false;
	int64_t v;

	if (*p == '\0')
		return -EINVAL;
	for (; *p; p++) {
		if (*p < '0' || *p > '9')
			return -EINVAL;
		if (over || value > (limit - (uint64_t)(*p - '0')) / 10)
			over = true;
		else
			value = value * 10 + (uint64_t)(*p - '0');
	}
	if (over)
		return -ERANGE;
	v = negative ? (int64_t)(0 - value) : (int64_t)value;
	if (v < min || v > max)
		return -ERANGE;
	*ret = v;
	return 0;
}

bool ph_str_ascii(const char *s)
{
	for (; *s; s++)
		if ((unsigned char)*s >= 0x80)
			return false;
	return true;
}
