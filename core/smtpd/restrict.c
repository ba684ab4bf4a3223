/* restrict.c: compiling restriction lists: words to modules, classes and tables.  Owns the lists; does not yield. */
#include "smtpd/restrict.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "module/loader.h"
#include "smtpd/restrict_private.h"

#define CLASS_DEPTH_MAX 20

/* Names that main.cf files still hold. */
static const char *current_name(const char *name)
{
	static const struct { const char *old, *now; } names[] = {
		{ "reject_unknown_client", "reject_unknown_client_hostname" },
		{ "reject_unknown_hostname", "reject_unknown_helo_hostname" },
		{ "reject_invalid_hostname", "reject_invalid_helo_hostname" },
		{ "reject_non_fqdn_hostname", "reject_non_fqdn_helo_hostname" },
		{ "reject_unknown_address", "reject_unknown_sender_domain" },
		{ "reject_rbl", "reject_rbl_client" },
		{ "check_recipient_maps", "reject_unlisted_recipient" },
	};

	for (size_t i = 0; i < PH_ARRAY_LEN(names); i++)
		if (strcasecmp(name, names[i].old) == 0)
			return names[i].now;
	return name;
}

static bool is_class(const struct ph_smtpd_service *svc, const char *name)
{
	for (size_t i = 0; svc->classes && svc->classes[i]; i++)
		if (strcasecmp(svc->classes[i], name) == 0)
			return true;
	return false;
}

static struct ph_ruse *add(struct ph_rlist *l, enum ph_ruse_kind kind, const char *name)
{
	struct ph_ruse *u;

	l->u = ph_realloc(l->u, (l->n + 1) * sizeof(*l->u));
	u = &l->u[l->n++];
	memset(u, 0, sizeof(*u));
	u->kind = kind;
	u->name = ph_strdup(name);
	return u;
}

static void broken(struct ph_ruse *u, const char *fmt, ...) PH_PRINTF(2, 3);
static void broken(struct ph_ruse *u, const char *fmt, ...)
{
	struct ph_buf b = PH_BUF_INIT(2048);
	va_list ap;

	va_start(ap, fmt);
	ph_buf_vprintf(&b, fmt, ap);
	va_end(ap);
	u->kind = PH_RUSE_BROKEN;
	free(u->why);
	u->why = ph_strdup(ph_buf_str(&b));
	ph_buf_done(&b);
}

static bool is_dns_list(const char *module)
{
	return strncmp(module, "reject_rbl_", 11) == 0 || strncmp(module, "reject_rhsbl_", 13) == 0 || strncmp(module, "permit_dnswl_", 13) == 0 ||
	       strncmp(module, "permit_rhswl_", 13) == 0;
}

/* What a restriction lacks, in Postfix's words. */
static const char *argument_wanted(const char *module)
{
	if (strcmp(module, "check_policy_service") == 0)
		return "must be followed by transport:server";
	if (strcmp(module, "sleep") == 0)
		return "must be followed by number";
	if (is_dns_list(module))
		return "requires domain name argument";
	return "must be followed by an argument";
}

int ph_ruse_load(struct ph_smtpd_service *svc, struct ph_ruse *u, const char *module, const char *arg)
{
	struct ph_err err = { 0, "" };

	u->mod = ph_module_load(PH_KIND_RESTRICTION, module, &err);
	if (!u->mod) {
		if (err.code == -ENOENT)
			broken(u, "unknown smtpd restriction: \"%s\"", u->name);
		else
			broken(u, "restriction %s: %s", u->name, err.text);
		return -ENOENT;
	}
	u->ops = u->mod->ops.restriction;
	u->settings = ph_module_settings(u->mod, svc->conf, &err);
	if (!u->settings && u->mod->settings_size) {
		broken(u, "restriction %s: %s", u->name, err.text);
		return -EINVAL;
	}
	if (u->ops->n_args && !arg) {
		broken(u, "restriction %s %s", u->name, argument_wanted(module));
		u->passed_over = is_dns_list(module);
		return -EINVAL;
	}
	u->arg = ph_strdup(arg ? arg : "");
	if (u->ops->prepare && u->ops->prepare(svc->conf, u->settings, u->arg, &u->use, &err) < 0) {
		broken(u, "restriction %s: %s", u->name, err.text);
		return -EINVAL;
	}
	return 0;
}

static struct ph_rlist *compile(struct ph_smtpd_service *svc, const char *title, const char *text, int depth);

static void add_class(struct ph_smtpd_service *svc, struct ph_rlist *l, const char *name, int depth)
{
	struct ph_ruse *u = add(l, PH_RUSE_CLASS, name);
	const char *text = ph_conf_get(svc->conf, name);

	if (!text)
		broken(u, "restriction class `%s' needs a definition", name);
	else if (depth >= CLASS_DEPTH_MAX)
		broken(u, "restriction class %s is defined by itself", name);
	else
		u->list = compile(svc, name, text, depth + 1);
}

/* reject_maps_rbl: reject_rbl_client for each of maps_rbl_domains. */
static void add_maps_rbl(struct ph_smtpd_service *svc, struct ph_rlist *l, const char *word)
{
	const char *text = ph_conf_get(svc->conf, "maps_rbl_domains");
	char *copy = ph_strdup(text ? text : ""), *cursor = copy, *domain;

	while ((domain = ph_str_token(&cursor, PH_SEP_LIST)))
		ph_ruse_load(svc, add(l, PH_RUSE_MODULE, word), "reject_rbl_client", domain);
	free(copy);
}

static void add_word(struct ph_smtpd_service *svc, struct ph_rlist *l, char *word, char **cursor, int depth)
{
	const struct ph_module *m;
	struct ph_ruse *u;
	const char *name = current_name(word);
	char *arg = NULL;

	if (strcasecmp(word, "warn_if_reject") == 0) {
		add(l, PH_RUSE_WARN, word);
	} else if (is_class(svc, word)) {
		add_class(svc, l, word, depth);
	} else if (strchr(word, ':')) {
		u = add(l, PH_RUSE_TABLE, word);
	} else if (strcasecmp(word, "permit_naked_ip_address") == 0) {
		ph_log(PH_LOG_WARNING, "restriction %s is deprecated. Use permit_mynetworks or permit_sasl_authenticated instead", word);
	} else if (strcasecmp(word, "check_relay_domains") == 0) {
		ph_log(PH_LOG_WARNING, "support for restriction \"%s\" will be removed from Postfix; use \"reject_unauth_destination\" instead", word);
		u = add(l, PH_RUSE_MODULE, word);
		ph_ruse_load(svc, u, "reject_unauth_destination", NULL);
	} else if (strcasecmp(word, "reject_maps_rbl") == 0) {
		ph_log(PH_LOG_WARNING, "support for restriction \"%s\" will be removed from Postfix; use \"reject_rbl_client domain-name\" instead", word);
		add_maps_rbl(svc, l, word);
	} else {
		char lower[100];

		snprintf(lower, sizeof(lower), "%s", name);
		ph_str_lower(lower);
		m = strspn(lower, "abcdefghijklmnopqrstuvwxyz0123456789_") == strlen(lower)
			? ph_module_load(PH_KIND_RESTRICTION, lower, NULL) : NULL;
		if (m && m->ops.restriction->n_args > 0)
			arg = ph_str_token(cursor, PH_SEP_LIST);
		u = add(l, PH_RUSE_MODULE, word);
		if (m || strspn(lower, "abcdefghijklmnopqrstuvwxyz0123456789_") == strlen(lower))
			ph_ruse_load(svc, u, lower, arg);
		else
			broken(u, "unknown smtpd restriction: \"%s\"", word);
	}
}

static struct ph_rlist *compile(struct ph_smtpd_service *svc, const char *title, const char *text, int depth)
{
	struct ph_rlist *l = ph_alloc(sizeof(*l));
	char *copy = ph_strdup(text), *cursor = copy, *word;

	l->svc = svc;
	l->title = ph_strdup(title);
	while ((word = ph_str_token(&cursor, PH_SEP_LIST)))
		add_word(svc, l, word, &cursor, depth);
	free(copy);
	return l;
}

struct ph_rlist *ph_rlist_new(struct ph_smtpd_service *svc, const char *title, const char *text)
{
	return compile(svc, title, text, 0);
}

static void ruse_done(struct ph_ruse *u)
{
	if (u->use && u->ops->release)
		u->ops->release(u->use);
	ph_rlist_free(&u->list);
	for (size_t i = 0; i < PH_ARRAY_LEN(u->by_class); i++) {
		if (!u->by_class[i])
			continue;
		ruse_done(u->by_class[i]);
		free(u->by_class[i]);
	}
	free(u->name);
	free(u->arg);
	free(u->why);
}

void ph_rlist_free(struct ph_rlist **lp)
{
	struct ph_rlist *l = *lp;

	if (!l)
		return;
	for (size_t i = 0; i < l->n; i++)
		ruse_done(&l->u[i]);
	free(l->u);
	free(l->title);
	free(l);
	*lp = NULL;
}

bool ph_rlist_empty(const struct ph_rlist *l)
{
	return !l || l->n == 0;
}

bool ph_rlist_blocks_relay(const struct ph_rlist *l)
{
	for (size_t i = 0; l && i < l->n; i++) {
		const struct ph_ruse *u = &l->u[i];

		if (u->kind == PH_RUSE_WARN)
			i++;            /* the one behind it only warns */
		else if (u->kind == PH_RUSE_MODULE && u->ops->blocks_relay)
			return true;
		else if (u->kind == PH_RUSE_CLASS && ph_rlist_blocks_relay(u->list))
			return true;
	}
	return false;
}

/* ---- lists that stand in access tables ---- */

#define CACHE_MAX 512

struct ph_rlist *ph_rcache_get(struct ph_smtpd_service *svc, const char *where, const char *text)
{
	struct ph_rcache *c = svc->rcache;
	size_t i;

	if (strchr(text, ':')) {
		ph_log(PH_LOG_WARNING, "access table %s has entry with lookup table: %s", where, text);
		ph_log(PH_LOG_WARNING, "do not specify lookup tables inside SMTPD access maps");
		ph_log(PH_LOG_WARNING, "define a restriction class and specify its name instead.");
		return NULL;
	}
	if (!c)
		c = svc->rcache = ph_alloc(sizeof(*c));
	for (i = 0; i < c->n; i++)
		if (strcmp(c->e[i].text, text) == 0)
			return c->e[i].list;
	if (c->n == CACHE_MAX) {
		ph_log(PH_LOG_WARNING, "access table %s: more than %d different restriction lists in access tables; this one is not taken: %.100s",
		       where, CACHE_MAX, text);
		return NULL;
	}
	c->e = ph_realloc(c->e, (c->n + 1) * sizeof(*c->e));
	c->e[c->n].text = ph_strdup(text);
	c->e[c->n].list = ph_rlist_new(svc, where, text);
	return c->e[c->n++].list;
}

void ph_rcache_free(struct ph_rcache **cp)
{
	struct ph_rcache *c = *cp;

	if (!c)
		return;
	for (size_t i = 0; i < c->n; i++) {
		free(c->e[i].text);
		ph_rlist_free(&c->e[i].list);
	}
	free(c->e);
	free(c);
	*cp = NULL;
}
