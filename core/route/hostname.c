/* hostname.c: the syntax of host names and address literals.
 *
 * Pure; owns nothing; does not yield.  RFC 1035 section 2.3.1, RFC 1123 section 2.1, RFC 5321 section 4.1.3, RFC 5890. */
#include "route/hostname.h"

#include <arpa/inet.h>
#include <string.h>

#define HOST_MAX 255
#define LABEL_MAX 63

static bool is_digit(unsigned char c)
{
	return c >= '0' && c <= '9';
}

static bool is_alnum(unsigned char c)
{
	return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

bool ph_hostname_numeric(const char *name)
{
	if (!*name)
		return false;
	for (; *name; name++)
		if (!is_digit((unsigned char)*name) && *name != '.')
			return false;
	return true;
}

static bool label_valid(const char *p, size_t n, bool utf8)
{
	if (n == 0 || n > LABEL_MAX || p[0] == '-' || p[n - 1] == '-')
		return false;
	for (size_t i = 0; i < n; i++) {
		unsigned char c = (unsigned char)p[i];

		if (!is_alnum(c) && c != '-' && c != '_' && !(utf8 && c >= 0x80))
			return false;
	}
	return true;
}

/* Code points that IDNA maps to a dot, or that hide in a name: they must never pass for part of a label.
 * U+3002, U+FF0E, U+FF61, U+FF20, U+00AD, U+200B..U+200F, U+202A..U+202E, U+2060..U+2069, U+FEFF. */
static bool hides_in_name(const unsigned char *p, size_t n)
{
	for (size_t i = 0; i + 1 < n; i++) {
		unsigned v;

		if (p[i] == 0xc2 && p[i + 1] == 0xad)
			return true;
		if (i + 2 >= n || (p[i] & 0xf0) != 0xe0)
			continue;
		v = (unsigned)((p[i] & 15) << 12 | (p[i + 1] & 63) << 6 | (p[i + 2] & 63));
		if (v == 0x3002 || v == 0xff0e || v == 0xff61 || v == 0xff20 || v == 0xfeff ||
		    (v >= 0x200b && v <= 0x200f) || (v >= 0x202a && v <= 0x202e) || (v >= 0x2060 && v <= 0x2069))
			return true;
	}
	return false;
}

bool ph_hostname_valid(const char *name, unsigned flags)
{
	size_t n = strlen(name);
	bool utf8 = flags & PH_HOST_UTF8;

	if (n == 0 || n > HOST_MAX)
		return false;
	if (utf8 && (!ph_utf8_valid(name, n) || hides_in_name((const unsigned char *)name, n)))
		return false;
	if (!(flags & PH_HOST_NUMERIC) && ph_hostname_numeric(name))
		return false;
	for (const char *p = name;;) {
		const char *dot = strchr(p, '.');

		if (!label_valid(p, dot ? (size_t)(dot - p) : strlen(p), utf8))
			return false;
		if (!dot)
			return true;
		p = dot + 1;
	}
}

bool ph_ipv4_valid(const char *addr)
{
	int groups = 0, value = 0, digits = 0;
	bool first_zero = false, rest = false;

	for (const char *p = addr;; p++) {
		if (is_digit((unsigned char)*p)) {
			value = value * 10 + (*p - '0');
			if (++digits > 3 || value > 255)
				return false;
		} else if (*p == '.' || *p == '\0') {
			if (digits == 0 || ++groups > 4)
				return false;
			if (groups == 1)
				first_zero = value == 0;
			else
				rest |= value != 0;
			if (*p == '\0')
				break;
			value = digits = 0;
		} else {
			return false;
		}
	}
	return groups == 4 && !(first_zero && rest);
}

bool ph_ipv6_valid(const char *addr)
{
	struct in6_addr in6;

	return strlen(addr) <= 45 && inet_pton(AF_INET6, addr, &in6) == 1;
}

bool ph_hostaddr_valid(const char *addr)
{
	return strchr(addr, ':') ? ph_ipv6_valid(addr) : ph_ipv4_valid(addr);
}

bool ph_hostliteral_valid(const char *literal)
{
	if (ph_str_istarts(literal, "IPv6:"))
		return ph_ipv6_valid(literal + 5);
	return ph_ipv4_valid(literal);
}

const char *ph_literal_address(struct ph_arena *arena, const char *bracketed)
{
	size_t n = strlen(bracketed);
	char *text;

	if (n < 3 || n > 64 || bracketed[0] != '[' || bracketed[n - 1] != ']')
		return NULL;
	text = ph_arena_strndup(arena, bracketed + 1, n - 2);
	if (!ph_hostliteral_valid(text))
		return NULL;
	return ph_str_istarts(text, "IPv6:") ? text + 5 : text;
}
