/* cidr.c: networks and domains as patterns.  Pure; no yield.  Source: postconf(5) on mynetworks and relay_domains. */
#include <arpa/inet.h>
#include <errno.h>
#include <string.h>

#include "config/cidr.h"

int ph_ip_parse(const char *text, struct ph_ip *ret)
{
	memset(ret, 0, sizeof(*ret));
	if (inet_pton(AF_INET, text, ret->bytes) == 1)
		ret->n = 4;
	else if (inet_pton(AF_INET6, text, ret->bytes) == 1)
		ret->n = 16;
	else
		return -EINVAL;
	return 0;
}

static void clear_host_bits(struct ph_ip *ip, int bits)
{
	int i;

	for (i = bits; i < ip->n * 8; i++)
		ip->bytes[i / 8] &= (unsigned char)~(0x80 >> i % 8);
}

static int bad(const char *text, struct ph_err *err, const char *why)
{
	return ph_err_set(err, -EINVAL, "bad network pattern \"%.100s\": %s", text, why);
}

/* The address part of text: into host, brackets cut off.  Returns what follows it or NULL. */
static const char *copy_address(const char *text, char *host, size_t size, bool *ret_brackets)
{
	const char *start = text, *end;

	*ret_brackets = *text == '[';
	if (*ret_brackets) {
		start = text + 1;
		end = strchr(start, ']');
	} else {
		end = start + strcspn(start, "/");
	}
	if (end == NULL || (size_t)(end - start) >= size)
		return NULL;
	memcpy(host, start, (size_t)(end - start));
	host[end - start] = '\0';
	return *ret_brackets ? end + 1 : end;
}

static int check_host_bits(const char *text, const struct ph_cidr *c, struct ph_err *err)
{
	struct ph_ip net = c->net;
	char host[INET6_ADDRSTRLEN];

	clear_host_bits(&net, c->bits);
	if (memcmp(&net, &c->net, sizeof(net)) == 0)
		return 0;
	inet_ntop(net.n == 4 ? AF_INET : AF_INET6, net.bytes, host, sizeof(host));
	return ph_err_set(err, -EINVAL, "non-null host address bits in \"%.100s\", perhaps you should use \"%s%s%s/%d\" instead",
			  text, net.n == 16 ? "[" : "", host, net.n == 16 ? "]" : "", c->bits);
}

int ph_cidr_parse(const char *text, struct ph_cidr *ret, struct ph_err *err)
{
	char host[INET6_ADDRSTRLEN + 1];
	const char *rest;
	bool brackets;
	int64_t bits;

	rest = copy_address(text, host, sizeof(host), &brackets);
	if (rest == NULL || ph_ip_parse(host, &ret->net) < 0)
		return bad(text, err, "not an IP address");
	if (ret->net.n == 16 && !brackets)
		return bad(text, err, "an IPv6 address must be in brackets: [2001:db8::]/32");
	bits = ret->net.n * 8;
	if (*rest == '/' && ph_str_int64(rest + 1, 0, bits, &bits) < 0)
		return bad(text, err, "the length behind '/' is not a number of bits");
	if (*rest != '/' && *rest != '\0')
		return bad(text, err, "text behind the address");
	ret->bits = (int)bits;
	return check_host_bits(text, ret, err);
}

bool ph_cidr_match(const struct ph_cidr *c, const struct ph_ip *ip)
{
	int whole = c->bits / 8, rest = c->bits % 8;

	if (c->net.n != ip->n || memcmp(c->net.bytes, ip->bytes, (size_t)whole) != 0)
		return false;
	return rest == 0 || ((c->net.bytes[whole] ^ ip->bytes[whole]) & (0xff00 >> rest)) == 0;
}

bool ph_domain_match(const char *pattern, const char *name, bool parents)
{
	size_t p = strlen(pattern), n = strlen(name);

	if (n == p)
		return ph_str_ieq(pattern, name);
	if (p == 0 || n < p)
		return false;
	if (parents)
		return name[n - p - 1] == '.' && ph_str_ieq(name + n - p, pattern);
	return pattern[0] == '.' && ph_str_ieq(name + n - p, pattern);
}
