/* ports.c: names of TCP ports: known_tcp_ports, then services(5).  No state; reading services(5) blocks.  Source: postconf(5). */
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "config/private.h"

static char *trim(char *s)
{
	size_t n;

	s += strspn(s, " \t\r\n");
	for (n = strlen(s); n > 0 && strchr(" \t\r\n", s[n - 1]); n--)
		s[n - 1] = '\0';
	return s;
}

/* "smtps=submissions=465": *ret_port when name is one of them.  0, or negative: it reads wrong. */
static int one_entry(char *entry, const char *name, int *ret_port)
{
	char *eq = strrchr(entry, '='), *part;
	bool found = false;
	int64_t port;

	if (!eq || ph_str_int64(trim(eq + 1), 1, 65535, &port) < 0)
		return -EINVAL;
	*eq = '\0';
	while ((part = strsep(&entry, "="))) {
		part = trim(part);
		if (!*part || part[strcspn(part, " \t\r\n")])
			return -EINVAL;
		found |= name && strcmp(part, name) == 0;
	}
	if (found)
		*ret_port = (int)port;
	return 0;
}

int ph_known_ports(const char *list, const char *name, int *ret_port)
{
	char *copy = ph_strdup(list), *cursor = copy, *entry;
	int r = 0;

	*ret_port = 0;
	while (r == 0 && *trim(copy) && (entry = strsep(&cursor, ",")))
		r = one_entry(entry, name, ret_port);
	free(copy);
	return r;
}

int ph_conf_tcp_port(const struct ph_conf *conf, const char *text)
{
	struct servent buf, *found = NULL;
	char space[1024];
	int64_t number;
	int port = 0;

	if (ph_str_int64(text, 1, 65535, &number) == 0)
		return (int)number;
	(void)ph_known_ports(ph_conf_general(conf)->known_tcp_ports, text, &port);     /* checked when it was loaded */
	if (port)
		return port;
	if (getservbyname_r(text, "tcp", &buf, space, sizeof(space), &found) == 0 && found)
		return ntohs((uint16_t)found->s_port);
	return 0;
}
