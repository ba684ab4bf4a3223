/* generation.c: a configuration in force: which workers it wants and which sockets its services listen on.  Does not yield. */
#include "master/internal.h"
#include "config/general.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static bool is_smtpd_service(const struct ph_service *s)
{
	return s->type == PH_SVC_INET && (strcmp(s->command, "smtpd") == 0 || strcmp(s->command, "postscreen") == 0);
}

bool ph_service_is_builtin(const struct ph_service *s)
{
	static const char *const names[] = { "smtpd", "postscreen", "pickup", "cleanup", "qmgr", "tlsmgr", "trivial-rewrite", "bounce", "verify", "flush",
		"proxymap", "showq", "anvil", "scache", "postlogd", "dnsblog", "tlsproxy" };

	for (size_t i = 0; i < PH_ARRAY_LEN(names); i++)
		if (strcmp(names[i], s->command) == 0)
			return true;
	return false;
}

bool ph_service_delivers(const struct ph_service *s)
{
	return s->type == PH_SVC_UNIX && !ph_service_is_builtin(s) && !ph_service_spawns(s);
}

bool ph_service_spawns(const struct ph_service *s)
{
	return strcmp(s->command, "spawn") == 0 && (s->type == PH_SVC_INET || s->type == PH_SVC_UNIX);
}

static unsigned worker_count(const struct ph_conf *conf, const char *name)
{
	const char *v = ph_conf_get(conf, name);
	int64_t n = 0;

	if (v)
		ph_str_int64(v, 0, 64, &n);
	if (n == 0)
		n = sysconf(_SC_NPROCESSORS_ONLN);
	return n < 1 ? 1 : n > 64 ? 64 : (unsigned)n;
}

static void listener_add(struct ph_listener **list, size_t *n, const struct ph_service *s, struct ph_bound *b)
{
	*list = ph_realloc(*list, (*n + 1) * sizeof **list);
	(*list)[(*n)++] = (struct ph_listener){ s, b };
}

/* The sockets of an inet service, sockets for each address. */
static int bind_inet(struct ph_master *m, struct ph_generation *g, const struct ph_service *s, unsigned sockets, struct ph_listener **list, size_t *n,
		     struct ph_err *err)
{
	struct ph_arena *arena = ph_arena_new();
	struct ph_endpoint *e;
	int count = ph_service_addresses(s, arena, &e, err), rc = count;

	for (int k = 0; rc >= 0 && k < count; k++) {
		struct ph_bound *b = ph_bound_inet(&m->bound, &e[k], sockets, g->number,
						   ph_conf_general(ph_config_main(g->config))->tcp_windowsize, err);

		if (b)
			listener_add(list, n, s, b);
		else
			rc = -1;
	}
	ph_arena_free(&arena);
	return rc < 0 ? rc : 0;
}

/* private/name, public/name: anybody who can reach the folder may connect. */
static int bind_unix(struct ph_master *m, struct ph_generation *g, const struct ph_service *s, struct ph_err *err)
{
	char path[4096];
	struct ph_bound *b;

	if ((size_t)snprintf(path, sizeof path, "%s/%s/%s", ph_conf_get(s->conf, "queue_directory"), s->is_private ? "private" : "public", s->name) >= sizeof path)
		return ph_err_set(err, -ENAMETOOLONG, "%s, line %d: service name is too long", s->file, s->line);
	b = ph_bound_unix(&m->bound, path, 0666, m->owner_uid, m->owner_gid, g->number, err);
	if (!b)
		return -1;
	listener_add(&g->spawn_listeners, &g->n_spawn_listeners, s, b);
	return 0;
}

static int listeners_bind(struct ph_master *m, struct ph_generation *g, struct ph_err *err)
{
	size_t n;
	const struct ph_service *s = ph_config_services(g->config, &n);
	int rc = 0;

	for (size_t i = 0; rc >= 0 && i < n; i++) {
		if (is_smtpd_service(&s[i]))
			rc = bind_inet(m, g, &s[i], g->n_smtpd, &g->listeners, &g->n_listeners, err);
		else if (ph_service_spawns(&s[i]) && s[i].type == PH_SVC_INET)
			rc = bind_inet(m, g, &s[i], 1, &g->spawn_listeners, &g->n_spawn_listeners, err);
		else if (ph_service_spawns(&s[i]))
			rc = bind_unix(m, g, &s[i], err);
	}
	return rc;
}

int ph_generation_new(struct ph_master *m, struct ph_config *config, unsigned number, struct ph_generation **ret, struct ph_err *err)
{
	const struct ph_conf *conf = ph_config_main(config);
	struct ph_generation *g = ph_alloc(sizeof *g);
	size_t n;
	const struct ph_service *s = ph_config_services(config, &n);
	int rc;

	g->number = number;
	g->config = config;
	g->refs = 1;
	g->n_smtpd = worker_count(conf, "smtpd_worker_processes");
	g->n_agents = worker_count(conf, "delivery_worker_processes");
	for (size_t i = 0; i < n; i++) {
		if (strcmp(s[i].command, "pickup") == 0)
			g->has_pickup = true;
		if (ph_service_delivers(&s[i]) && !s[i].unpriv)
			g->has_root_agent = true;
	}
	rc = listeners_bind(m, g, err);
	if (rc < 0) {
		g->config = NULL;       /* stays the caller's */
		ph_generation_unref(&g);
		return rc;
	}
	*ret = g;
	return 0;
}

void ph_generation_unref(struct ph_generation **gp)
{
	struct ph_generation *g = *gp;

	*gp = NULL;
	if (!g || --g->refs > 0)
		return;
	ph_config_free(&g->config);
	free(g->listeners);
	free(g->spawn_listeners);
	free(g);
}
