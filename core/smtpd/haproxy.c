/* haproxy.c: the PROXY protocol (versions 1 and 2), a pure parser.  Source: the PROXY protocol specification, section 2. */
#include "smtpd/haproxy.h"

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>

#define V1_MAX 107

static const char v2_magic[12] = "\r\n\r\n\0\r\nQUIT\n";

static int fail(const char **ret_why, const char *why)
{
	*ret_why = why;
	return -EBADMSG;
}

/* The next word of [*p, end), separated by one space.  Length 0 at the end. */
static struct ph_slice word(const char **p, const char *end)
{
	struct ph_slice w = { *p, 0 };
	const char *sp = memchr(*p, ' ', (size_t)(end - *p));

	w.n = (size_t)((sp ? sp : end) - *p);
	*p = sp ? sp + 1 : end;
	return w;
}

static bool take_addr(struct ph_slice w, int family, char out[48])
{
	unsigned char raw[16];
	char text[48];

	if (w.n == 0 || w.n >= sizeof(text))
		return false;
	memcpy(text, w.p, w.n);
	text[w.n] = '\0';
	if (strlen(text) != w.n || inet_pton(family, text, raw) != 1)
		return false;
	if (family == AF_INET6 && IN6_IS_ADDR_V4MAPPED((struct in6_addr *)(void *)raw))
		return inet_ntop(AF_INET, raw + 12, out, 48) != NULL;
	return inet_ntop(family, raw, out, 48) != NULL;
}

static bool take_port(struct ph_slice w, int *ret)
{
	int n = 0;

	if (w.n == 0 || w.n > 5 || (w.n > 1 && w.p[0] == '0'))
		return false;
	for (size_t i = 0; i < w.n; i++) {
		if (w.p[i] < '0' || w.p[i] > '9')
			return false;
		n = n * 10 + (w.p[i] - '0');
	}
	*ret = n;
	return n <= 65535;
}

static ssize_t parse_v1(struct ph_slice in, struct ph_proxy_info *ret, const char **ret_why)
{
	const char *lf = memchr(in.p, '\n', in.n < V1_MAX ? in.n : V1_MAX), *p = in.p, *end;
	struct ph_slice w;
	int family;

	if (!lf)
		return in.n >= V1_MAX ? fail(ret_why, "missing or bad end of header") : 0;
	if (lf == in.p || lf[-1] != '\r')
		return fail(ret_why, "missing or bad end of header");
	end = lf - 1;
	(void)word(&p, end);
	w = word(&p, end);
	if (w.n != 4 || (memcmp(w.p, "TCP4", 4) != 0 && memcmp(w.p, "TCP6", 4) != 0))
		return fail(ret_why, "bad or missing protocol type");
	family = w.p[3] == '4' ? AF_INET : AF_INET6;
	if (!take_addr(word(&p, end), family, ret->client))
		return fail(ret_why, "bad or missing client address");
	if (!take_addr(word(&p, end), family, ret->server))
		return fail(ret_why, "bad or missing server address");
	if (!take_port(word(&p, end), &ret->client_port))
		return fail(ret_why, "bad or missing client port");
	if (!take_port(word(&p, end), &ret->server_port))
		return fail(ret_why, "bad or missing server port");
	if (p != end)
		return fail(ret_why, "text after the server port");
	return lf + 1 - in.p;
}

static ssize_t parse_v2(struct ph_slice in, struct ph_proxy_info *ret, const char **ret_why)
{
	const unsigned char *u = (const unsigned char *)in.p;
	size_t body, need;
	int family;

	if (in.n < 16)
		return 0;
	body = (size_t)u[14] << 8 | u[15];
	if (u[12] >> 4 != 2)
		return fail(ret_why, "unsupported version");
	if ((u[12] & 15) > 1)
		return fail(ret_why, "unsupported command");
	if (16 + body > PH_PROXY_HEADER_MAX)
		return fail(ret_why, "header too long");
	if (in.n < 16 + body)
		return 0;
	if ((u[12] & 15) == 0) {
		ret->local = true;
		return (ssize_t)(16 + body);
	}
	if (u[13] != 0x11 && u[13] != 0x21)
		return fail(ret_why, "unsupported network protocol");
	family = u[13] == 0x11 ? AF_INET : AF_INET6;
	need = family == AF_INET ? 12 : 36;
	if (body < need)
		return fail(ret_why, "header too short for its protocol");
	if (family == AF_INET) {
		inet_ntop(AF_INET, u + 16, ret->client, sizeof(ret->client));
		inet_ntop(AF_INET, u + 20, ret->server, sizeof(ret->server));
		u += 24;
	} else {
		struct in6_addr a;

		memcpy(&a, u + 16, 16);
		inet_ntop(IN6_IS_ADDR_V4MAPPED(&a) ? AF_INET : AF_INET6, IN6_IS_ADDR_V4MAPPED(&a) ? (const void *)(u + 28) : u + 16,
			  ret->client, sizeof(ret->client));
		memcpy(&a, u + 32, 16);
		inet_ntop(IN6_IS_ADDR_V4MAPPED(&a) ? AF_INET : AF_INET6, IN6_IS_ADDR_V4MAPPED(&a) ? (const void *)(u + 44) : u + 32,
			  ret->server, sizeof(ret->server));
		u += 48;
	}
	ret->client_port = u[0] << 8 | u[1];
	ret->server_port = u[2] << 8 | u[3];
	return (ssize_t)(16 + body);
}

ssize_t ph_proxy_parse(struct ph_slice in, struct ph_proxy_info *ret, const char **ret_why)
{
	size_t n1 = in.n < 6 ? in.n : 6, n2 = in.n < 12 ? in.n : 12;

	memset(ret, 0, sizeof(*ret));
	*ret_why = "";
	if (in.n == 0)
		return 0;
	if (memcmp(in.p, v2_magic, n2) == 0)
		return n2 < 12 ? 0 : parse_v2(in, ret, ret_why);
	if (memcmp(in.p, "PROXY ", n1) == 0)
		return n1 < 6 ? 0 : parse_v1(in, ret, ret_why);
	return fail(ret_why, "unrecognized protocol header");
}
