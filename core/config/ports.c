/* ports.c: names of TCP ports: known_tcp_ports, then services(5).  No state; reading services(5) blocks.  Source: postconf(5). */
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

/* "smtps=submissions=465": *ret_port when name is one of them.  NULL, or what is wrong with the entry. */
static const char *one_entry(char *entry, const char *name, int *ret_port)
{
	char *eq = strrchr(entry, '='), *part;
	bool found = false;
	int64_t port;

	if (!eq)
		return "is not in \"name = value\" form";
	part = trim(eq + 1);
	if (!*part)
		return "missing port value after \"=\"";
	if (part[strcspn(part, " \t\r\n")])
		return "whitespace in port number";
	if (part[strspn(part, "0123456789")])
		return "non-numerical service port";
	if (ph_str_int64(part, 1, 65535, &port) < 0)
		return "no such port number";
	*eq = '\0';
	while ((part = strsep(&entry, "="))) {
		part = trim(part);
		if (!*part)
			return "missing service name before \"=\"";
		if (part[strcspn(part, " \t\r\n")])
			return "whitespace in service name";
		found |= strcmp(part, name) == 0;
	}
	if (found)
		*ret_port = (int)port;
	return NULL;
}

int ph_known_port(const char *list, const char *name, struct ph_config *c, const struct ph_setting *set)
{
	char *copy = ph_strdup(list), *cursor = copy, *entry;
	int port = 0;

	while ((entry = strsep(&cursor, ","))) {
		const char *text = list + (entry - copy), *wrong;

		if (!entry[strspn(entry, " \t\r\n")])
			continue;
		wrong = one_entry(entry, name, &port);
		if (wrong && set)
			ph_config_note(c, set->file, set->line, "known_tcp_ports: in \"%.*s\": %s", (int)strcspn(text, ","), text, wrong);
	}
	free(copy);
	return port;
}

int ph_conf_tcp_port(const struct ph_conf *conf, const char *text)
{
	struct servent buf, *found = NULL;
	char space[1024];
	int64_t number;
	int port;

	if (ph_str_int64(text, 1, 65535, &number) == 0)
		return (int)number;
	port = ph_known_port(ph_conf_general(conf)->known_tcp_ports, text, NULL, NULL);        /* what is wrong in it was told at load */
	if (port)
		return port;
	if (getservbyname_r(text, "tcp", &buf, space, sizeof(space), &found) == 0 && found)
		return ntohs((uint16_t)found->s_port);
	return 0;
}
