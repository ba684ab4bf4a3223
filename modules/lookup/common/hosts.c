/* hosts.c: see hosts.h.  Pure.  Source: mysql_table(5), pgsql_table(5). */
#include "hosts.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static bool is_socket(const char *name)
{
	return strncmp(name, "unix:", 5) == 0 || name[0] == '/';
}

static int add_those(struct lpool *p, const char *hosts, bool sockets, struct ph_err *err)
{
	char *copy = ph_strdup(hosts), *cursor = copy, *word, *host;
	int r = 0, port;

	while (r == 0 && (word = ph_str_token(&cursor, PH_SEP_LIST)) != NULL) {
		if (is_socket(word) != sockets)
			continue;
		if (strstr(word, "://") == NULL) {
			r = lhosts_split(word, &host, &port, err);
			if (r == 0)
				free(host);
		}
		if (r == 0)
			r = lpool_add_name(p, word, err);
	}
	free(copy);
	return r;
}

int lhosts_add(struct lpool *p, struct lcfg *cfg, const char *table, const char *def, struct ph_err *err)
{
	const char *hosts = lcfg_str(cfg, "hosts", def);
	size_t sockets;
	int r = add_those(p, hosts, true, err);

	if (r < 0)
		return r;
	sockets = lpool_servers(p);
	r = add_those(p, hosts, false, err);
	if (r == 0 && lpool_servers(p) == 0)
		r = ph_err_set(err, -EINVAL, "%s: hosts is empty", table);
	lpool_spread(p, sockets);
	return r;
}

int lhosts_split(const char *server, char **ret_host, int *ret_port, struct ph_err *err)
{
	char *host, *colon;
	int64_t port = 0;

	if (is_socket(server)) {
		*ret_host = ph_strdup(server[0] == '/' ? server : server + 5);
		*ret_port = 0;
		return 0;
	}
	host = ph_strdup(strncmp(server, "inet:", 5) == 0 ? server + 5 : server);
	colon = strrchr(host, ':');
	if (colon && (strchr(host, ':') == colon || (colon > host && colon[-1] == ']'))) {
		*colon = '\0';
		if (ph_str_int64(colon + 1, 1, 65535, &port) < 0)
			goto bad;
	}
	if (host[0] == '[' && host[strlen(host) - 1] == ']') {
		host[strlen(host) - 1] = '\0';
		memmove(host, host + 1, strlen(host));
	}
	if (*host == '\0')
		goto bad;
	*ret_host = host;
	*ret_port = (int)port;
	return 0;
bad:
	free(host);
	return ph_err_set(err, -EINVAL, "need host, host:port or unix:/path instead of \"%.200s\"", server);
}
