/* bound.c: the sockets that the master binds and keeps over reloads and deaths of workers.  Does not yield. */
#include "master/internal.h"
#include "net/stream.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define BACKLOG 1024

static struct ph_bound *bound_find(struct ph_bound_set *set, const char *key, unsigned generation)
{
	for (struct ph_bound *b = set->first; b; b = b->next) {
		if (strcmp(b->key, key) == 0) {
			b->generation = generation;
			return b;
		}
	}
	return NULL;
}

static void bound_free(struct ph_bound *b)
{
	for (unsigned i = 0; i < b->n; i++)
		close(b->fds[i]);
	free(b->fds);
	free(b->key);
	free(b);
}

static struct ph_bound *bound_add(struct ph_bound_set *set, const char *key, unsigned n, unsigned generation)
{
	struct ph_bound *b = ph_alloc(sizeof *b);

	b->key = ph_strdup(key);
	b->fds = ph_alloc(n * sizeof *b->fds);
	b->generation = generation;
	b->next = set->first;
	set->first = b;
	return b;
}

/* One listening socket.  share: SO_REUSEPORT, for the second and later ones and those beside them. */
static int inet_socket(const struct ph_endpoint *e, bool share)
{
	int one = 1, fd = socket(e->addr.sa.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -errno;
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
	if (e->addr.sa.sa_family == AF_INET6)
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof one);
	if (share)
		setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof one);
	if (bind(fd, &e->addr.sa, e->len) < 0 || listen(fd, BACKLOG) < 0) {
		int rc = -errno;

		close(fd);
		return rc;
	}
	return fd;
}

/* SO_REUSEPORT would let two instances share a port without a word; a first try without it tells. */
static int inet_probe(const struct ph_endpoint *e, int64_t patient_until_ms)
{
	struct timespec pause = { 0, 2 * 1000 * 1000 };
	int fd;

	while ((fd = inet_socket(e, false)) == -EADDRINUSE && ph_now_ms_exact() < patient_until_ms)
		nanosleep(&pause, NULL);
	if (fd < 0)
		return fd;
	close(fd);
	return 0;
}

static int inet_failed(struct ph_err *err, int rc, const char *key)
{
	if (rc == -EADDRINUSE)
		return ph_err_set(err, rc, "bind %s: address already in use: another mail system is running there; stop it, or change "
			"the service name in master.cf or inet_interfaces in main.cf", key);
	if (rc == -EACCES)
		return ph_err_set(err, rc, "bind %s: ports below 1024 need root; use another port in master.cf", key);
	if (rc == -EADDRNOTAVAIL)
		return ph_err_set(err, rc, "bind %s: this machine has no such address; check inet_interfaces in main.cf", key);
	return ph_err_errno(err, rc, "bind %s", key);
}

struct ph_bound *ph_bound_inet(struct ph_bound_set *set, const struct ph_endpoint *e, unsigned n, unsigned generation, int window, struct ph_err *err)
{
	char addr[128], key[160];
	struct ph_bound *b;
	int fd;

	snprintf(key, sizeof key, "[%s]:%d", ph_endpoint_addr(e, addr, sizeof addr), ph_endpoint_port(e));
	b = bound_find(set, key, generation);
	for (unsigned i = 0; b && i < b->n; i++)
		ph_tcp_limit_window(b->fds[i], window);
	if (b && b->n >= n)
		return b;
	if (!b) {
		fd = inet_probe(e, set->patient_until_ms);
		if (fd < 0) {
			inet_failed(err, fd, key);
			return NULL;
		}
		b = bound_add(set, key, n, generation);
	} else {
		b->fds = ph_realloc(b->fds, n * sizeof *b->fds);
	}
	while (b->n < n) {
		fd = inet_socket(e, true);
		if (fd < 0) {
			inet_failed(err, fd, key);
			return NULL;
		}
		ph_tcp_limit_window(fd, window);
		b->fds[b->n++] = fd;
	}
	return b;
}

struct ph_bound *ph_bound_unix(struct ph_bound_set *set, const char *path, mode_t mode, uid_t uid, gid_t gid, unsigned generation, struct ph_err *err)
{
	struct ph_bound *b = bound_find(set, path, generation);
	struct ph_endpoint e;
	int fd;

	if (b)
		return b;
	if (ph_endpoint_unix(&e, path) < 0) {
		ph_err_set(err, -ENAMETOOLONG, "%s: longer than a socket's path may be; choose a shorter queue_directory", path);
		return NULL;
	}
	unlink(path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0 || bind(fd, &e.addr.sa, e.len) < 0 || chmod(path, mode) < 0 || listen(fd, BACKLOG) < 0 ||
	    (geteuid() == 0 && chown(path, uid, gid) < 0)) {
		ph_err_errno(err, -errno, "socket %s", path);
		if (fd >= 0)
			close(fd);
		return NULL;
	}
	b = bound_add(set, path, 1, generation);
	b->fds[b->n++] = fd;
	return b;
}

void ph_bound_prune(struct ph_bound_set *set, unsigned generation)
{
	struct ph_bound **p = &set->first;

	while (*p) {
		struct ph_bound *b = *p;

		if (b->generation == generation || b->generation == UINT32_MAX) {       /* UINT32_MAX: internal sockets stay */
			p = &b->next;
			continue;
		}
		*p = b->next;
		bound_free(b);
	}
}

/* ---- names to addresses ---- */

struct address_list { struct ph_endpoint *e; size_t n; struct ph_arena *arena; };

static void address_add(struct address_list *l, const struct sockaddr *sa, socklen_t len)
{
	struct ph_endpoint *bigger;

	for (size_t i = 0; i < l->n; i++)
		if (l->e[i].len == len && memcmp(&l->e[i].addr, sa, len) == 0)
			return;
	bigger = ph_arena_alloc(l->arena, (l->n + 1) * sizeof *bigger);
	if (l->n)
		memcpy(bigger, l->e, l->n * sizeof *bigger);
	memcpy(&bigger[l->n].addr, sa, len);
	bigger[l->n].len = len;
	l->e = bigger;
	l->n++;
}

static int resolve_one(struct address_list *l, const char *host, const char *port, int family, struct ph_err *err, const char *where)
{
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE, .ai_family = family }, *res;
	int rc = getaddrinfo(host, port, &hints, &res);

	if (rc != 0)
		return ph_err_set(err, -EINVAL, "%s: %s:%s: %s", where, host ? host : "*", port, gai_strerror(rc));
	for (struct addrinfo *a = res; a; a = a->ai_next)
		if (a->ai_family == AF_INET || a->ai_family == AF_INET6)
			address_add(l, a->ai_addr, a->ai_addrlen);
	freeaddrinfo(res);
	return 0;
}

static bool family_on(const char *protocols, const char *name)
{
	return strstr(protocols, name) || strstr(protocols, "all");
}

static int resolve_host(struct address_list *l, const char *host, const char *port, const char *protocols, struct ph_err *err, const char *where)
{
	bool v4 = family_on(protocols, "ipv4"), v6 = family_on(protocols, "ipv6");
	int rc = -EINVAL;
	size_t before = l->n;

	if (v4)
		rc = resolve_one(l, host, port, AF_INET, err, where);
	if (v6)
		rc = resolve_one(l, host, port, AF_INET6, err, where);
	return l->n > before ? 0 : rc;
}

/* "host:port", "[host]:port", "port" -> host (NULL: none) and port, in place. */
static char *split_service_name(char *name, char **ret_port)
{
	char *host = NULL, *colon;

	if (name[0] == '[') {
		char *end = strchr(name, ']');

		if (end) {
			*end = '\0';
			host = name + 1;
			*ret_port = end[1] == ':' ? end + 2 : end + 1;
			return host;
		}
	}
	colon = strrchr(name, ':');
	if (!colon) {
		*ret_port = name;
		return NULL;
	}
	*colon = '\0';
	*ret_port = colon + 1;
	return name;
}

int ph_service_addresses(const struct ph_service *svc, struct ph_arena *arena, struct ph_endpoint **ret, struct ph_err *err)
{
	struct address_list l = { .arena = arena };
	char *port, *host = split_service_name(ph_arena_strdup(arena, svc->name), &port), *list, *tok;
	const char *protocols = ph_conf_get(svc->conf, "inet_protocols");
	const char *where = ph_arena_printf(arena, "%s, line %d", svc->file, svc->line);
	int rc = 0, number = ph_conf_tcp_port(svc->conf, port);

	if (number)             /* else getaddrinfo says what is wrong with it */
		port = ph_arena_printf(arena, "%d", number);
	if (host) {
		rc = resolve_host(&l, host, port, protocols, err, where);
	} else {
		list = ph_arena_strdup(arena, ph_conf_get(svc->conf, "inet_interfaces"));
		while (rc == 0 && (tok = ph_str_token(&list, PH_SEP_LIST))) {
			if (ph_str_ieq(tok, "all"))
				rc = resolve_host(&l, NULL, port, protocols, err, where);
			else if (ph_str_ieq(tok, "loopback-only"))
				rc = resolve_host(&l, "localhost", port, protocols, err, where);
			else {
				if (tok[0] == '[')
					tok[strcspn(tok, "]")] = '\0', tok++;
				rc = resolve_host(&l, tok, port, protocols, err, where);
			}
		}
	}
	if (rc < 0)
		return rc;
	*ret = l.e;
	return (int)l.n;
}
