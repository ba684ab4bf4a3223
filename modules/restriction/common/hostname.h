/* hostname.h: what counts as a host name, an address, an address literal.  Pure.  RFC 1035 2.3.1, RFC 5321 4.1.3. */
#ifndef MODULES_RESTRICTION_COMMON_HOSTNAME_H
#define MODULES_RESTRICTION_COMMON_HOSTNAME_H

#include <arpa/inet.h>
#include <ctype.h>
#include <stdbool.h>
#include <string.h>
#include <strings.h>

static inline bool host_label(const char *p, size_t n)
{
	if (n == 0 || n > 63 || p[0] == '-' || p[n - 1] == '-')
		return false;
	for (size_t i = 0; i < n; i++)
		if (!isalnum((unsigned char)p[i]) && p[i] != '-' && p[i] != '_' && (unsigned char)p[i] < 128)
			return false;
	return true;
}

/* Labels of 1..63 characters, 255 in all, not only digits; no dot at the end. */
static inline bool host_name_valid(const char *name)
{
	bool letters = false;
	const char *p = name;
	size_t n;

	if (strlen(name) > 255)
		return false;
	for (;;) {
		n = strcspn(p, ".");
		if (!host_label(p, n))
			return false;
		for (size_t i = 0; i < n; i++)
			letters = letters || !isdigit((unsigned char)p[i]);
		if (!p[n])
			return letters;
		p += n + 1;
	}
}

static inline bool host_addr_valid(const char *text)
{
	unsigned char raw[16];

	return inet_pton(AF_INET, text, raw) == 1 || inet_pton(AF_INET6, text, raw) == 1;
}

/* "[1.2.3.4]", "[IPv6:::1]" */
static inline bool host_literal_valid(const char *text)
{
	unsigned char raw[16];
	char inner[64];
	size_t n = strlen(text);

	if (n < 3 || n - 2 >= sizeof(inner) || text[0] != '[' || text[n - 1] != ']')
		return false;
	memcpy(inner, text + 1, n - 2);
	inner[n - 2] = '\0';
	if (strncasecmp(inner, "IPv6:", 5) == 0)
		return inet_pton(AF_INET6, inner + 5, raw) == 1;
	return inet_pton(AF_INET, inner, raw) == 1;
}

/* At least two labels. */
static inline bool host_fqdn(const char *name)
{
	return strchr(name, '.') && host_name_valid(name);
}

static inline const char *domain_of(const char *address)
{
	const char *at = address ? strrchr(address, '@') : NULL;

	return at ? at + 1 : "";
}

#endif
