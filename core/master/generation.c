/* generation.c: a configuration in force: which workers it wants and which sockets its services listen on.  Does not yield. */
#include "master/internal.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static bool is_smtpd_service(const struct ph_service *s)
{
	return (s->type == PH_SVC_INET || s->type == PH_SVC_PASS) && (strcmp(s->command, "smtpd") == 0);
}

bool ph_service_is_builtin(const struct ph_service *s)
{
	static const char *const names[] = { "smtpd", "pickup", "cleanup", "qmgr", "tlsmgr", "trivial-rewrite", "bounce", "verify", "flush",
		"proxymap", "showq", "anvil", "scache", "postlogd", "dnsblog", "tlsproxy" };

	for (size_t i = 0; i < PH_ARRAY_LEN(names); i++)
		if (strcmp(names[i], s->command) == 0)
			return true;
	return false;
}

bool ph_service_delivers(const struct ph_service *s)
{
	return s->type == PH_SVC_UNIX && !ph_service_is_builtin(s);
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

static int listeners_bind(struct ph_master *m, struct ph_generation *g, struct ph_err *err)
{
	struct ph_arena *arena = ph_arena_new();
	size_t n, cap = 0;
	const struct ph_service *s = ph_config_services(g->config, &n);
	struct ph_endpoint *e;
	int rc = 0;

	for (size_t i = 0; rc >= 0 && i < n; i++) {
		if (!is_smtpd_service(&s[i]))
			continue;
		int count = rc = ph_service_addresses(&s[i], arena, &e, err);

		for (int k = 0; rc >= 0 && k < count; k++) {
			struct ph_bound *b = ph_bound_inet(&m->bound, &e[k], g->n_smtpd, g->number, err);

			if (!b) {
				rc = -1;
				break;
			}
			if (g->n_listeners == cap) {
				cap = cap ? 2 * cap : 8;
				g->listeners = ph_realloc(g->listeners, cap * sizeof *g->listeners);
			}
			g->listeners[g->n_listeners].service = &s[i];
			g->listeners[g->n_listeners++].bound = b;
		}
	}
	ph_arena_free(&arena);
	return rc < 0 ? rc : 0;
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
	free(g);
}
