/* endpoint.c: numeric addresses and unix-domain paths.  No state; no yield; any thread. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/un.h>

#include <posthouse/io.h>

/* Source of the forms: RFC 5321 section 4.1.3. */
int ph_endpoint_ip(struct ph_endpoint *e, const char *address, int port)
{
	struct sockaddr_in *in = (struct sockaddr_in *)&e->addr.ss;
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)&e->addr.ss;
	char text[INET6_ADDRSTRLEN + 16];
	size_t n = strlen(address);

	if (port < 1 || port > 65535)
		return -EINVAL;
	if (n >= 2 && address[0] == '[' && address[n - 1] == ']') {
		address++;
		n -= 2;
	}
	if (n >= 5 && strncasecmp(address, "IPv6:", 5) == 0) {
		address += 5;
		n -= 5;
	}
	if (n >= sizeof(text))
		return -EINVAL;
	memcpy(text, address, n);
	text[n] = '\0';
	memset(e, 0, sizeof(*e));
	if (inet_pton(AF_INET, text, &in->sin_addr) == 1) {
		in->sin_family = AF_INET;
		in->sin_port = htons((uint16_t)port);
		e->len = sizeof(*in);
		return 0;
	}
	if (inet_pton(AF_INET6, text, &in6->sin6_addr) == 1) {
		in6->sin6_family = AF_INET6;
		in6->sin6_port = htons((uint16_t)port);
		e->len = sizeof(*in6);
		return 0;
	}
	return -EINVAL;
}

int ph_endpoint_unix(struct ph_endpoint *e, const char *path)
{
	struct sockaddr_un *sun = (struct sockaddr_un *)&e->addr.ss;
	size_t n = strlen(path);

	if (n >= sizeof(sun->sun_path))
		return -ENAMETOOLONG;
	memset(e, 0, sizeof(*e));
	sun->sun_family = AF_UNIX;
	memcpy(sun->sun_path, path, n);
	e->len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n + 1);
	return 0;
}

/* An IPv4 client of an IPv6 socket ("::ffff:1.2.3.4") is shown as what it is. */
const char *ph_endpoint_addr(const struct ph_endpoint *e, char *buf, size_t bytes)
{
	const struct sockaddr_in *in = (const struct sockaddr_in *)&e->addr.ss;
	const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)&e->addr.ss;
	const struct sockaddr_un *sun = (const struct sockaddr_un *)&e->addr.ss;
	const char *ret = NULL;

	ph_assert(bytes > 0);
	switch (e->addr.sa.sa_family) {
	case AF_INET:
		ret = inet_ntop(AF_INET, &in->sin_addr, buf, (socklen_t)bytes);
		break;
	case AF_INET6:
		if (IN6_IS_ADDR_V4MAPPED(&in6->sin6_addr))
			ret = inet_ntop(AF_INET, &in6->sin6_addr.s6_addr[12], buf, (socklen_t)bytes);
		else
			ret = inet_ntop(AF_INET6, &in6->sin6_addr, buf, (socklen_t)bytes);
		break;
	case AF_UNIX:
		snprintf(buf, bytes, "%.*s", (int)sizeof(sun->sun_path), sun->sun_path);
		ret = buf;
		break;
	}
	if (ret == NULL)
		buf[0] = '\0';
	return buf;
}

int ph_endpoint_port(const struct ph_endpoint *e)
{
	switch (e->addr.sa.sa_family) {
	case AF_INET:
		return ntohs(((const struct sockaddr_in *)&e->addr.ss)->sin_port);
	case AF_INET6:
		return ntohs(((const struct sockaddr_in6 *)&e->addr.ss)->sin6_port);
	}
	return 0;
}
