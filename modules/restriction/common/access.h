/* access.h: the keys under which check_*_access look into their tables, in Postfix's order.  Source: access(5).  Yields. */
#ifndef MODULES_RESTRICTION_COMMON_ACCESS_H
#define MODULES_RESTRICTION_COMMON_ACCESS_H

#include <posthouse/module.h>
#include <posthouse/restriction.h>
#include <stdlib.h>
#include <string.h>

struct access_use {
	struct ph_maps *maps;
	const struct ph_conf *conf;
	char *where;
	bool parents;           /* parent_domain_matches_subdomains holds smtpd_access_maps: "example.com" is for its subdomains, too */
};

static inline int access_prepare(const struct ph_conf *conf, const void *settings, const char *arg, void **ret, struct ph_err *err)
{
	const char *list = ph_conf_get(conf, "parent_domain_matches_subdomains");
	char *copy = ph_strdup(list ? list : ""), *cursor = copy, *w;
	struct access_use *u = ph_alloc(sizeof(*u));

	u->where = ph_strdup(arg);
	u->conf = conf;
	u->maps = ph_maps_open(conf, arg, arg);
	while ((w = ph_str_token(&cursor, PH_SEP_LIST)))
		if (ph_str_ieq(w, "smtpd_access_maps"))
			u->parents = true;
	free(copy);
	*ret = u;
	return 0;
}

static inline void access_release(void *use)
{
	struct access_use *u = use;

	free(u->where);
	free(u);
}

/* name, then its parents ("b.c" or ".b.c"). */
static inline enum ph_lookup access_domain(struct access_use *u, struct ph_session *s, const char *name, const char **ret, struct ph_err *err)
{
	struct ph_arena *a = ph_session_arena(s);
	const char *p = name, *dot;
	enum ph_lookup r = ph_maps_find(u->maps, name, false, a, ret, err);

	while (r == PH_LOOKUP_NOTFOUND && (dot = strchr(p + (*p == '.'), '.'))) {
		p = u->parents ? dot + 1 : dot;
		if (!p[*p == '.'])
			break;
		r = ph_maps_find(u->maps, p, true, a, ret, err);
	}
	return r;
}

/* addr, then its networks: one octet (IPv4) or group (IPv6) less each time. */
static inline enum ph_lookup access_addr(struct access_use *u, struct ph_session *s, const char *addr, const char **ret, struct ph_err *err)
{
	struct ph_arena *a = ph_session_arena(s);
	char *net = ph_arena_strdup(a, addr), *cut, sep = strchr(addr, ':') ? ':' : '.';
	enum ph_lookup r = ph_maps_find(u->maps, addr, false, a, ret, err);

	while (r == PH_LOOKUP_NOTFOUND && (cut = strrchr(net, sep))) {
		while (cut > net && cut[-1] == sep)
			cut--;
		*cut = '\0';
		if (!*net)
			break;
		r = ph_maps_find(u->maps, net, true, a, ret, err);
	}
	return r;
}

/* user+ext@dom, user@dom, dom and parents, user+ext@, user@ of key, the address that what was given leads to; "" under smtpd_null_access_lookup_key. */
static inline enum ph_lookup access_mail(struct access_use *u, struct ph_session *s, const char *key, const char **ret, struct ph_err *err)
{
	const char *null_key = ph_conf_get(u->conf, "smtpd_null_access_lookup_key");

	if (!*key)
		return ph_maps_find(u->maps, null_key ? null_key : "<>", false, ph_session_arena(s), ret, err);
	return ph_maps_find_address(u->maps, u->conf, key, PH_ADDR_FULL | PH_ADDR_NOEXT | PH_ADDR_DOMAIN | PH_ADDR_USER_AT, "smtpd_access_maps",
				    ph_session_arena(s), ret, NULL, err);
}

/* What is judged, in replies and log lines. */
static inline const char *access_class_name(enum ph_access_class cls)
{
	static const char *const names[] = {
		[PH_ACCESS_CLIENT] = "Client host", [PH_ACCESS_HELO] = "Helo command", [PH_ACCESS_SENDER] = "Sender address",
		[PH_ACCESS_RECIPIENT] = "Recipient address", [PH_ACCESS_ETRN] = "Etrn command", [PH_ACCESS_DATA] = "Data command",
		[PH_ACCESS_EOD] = "End-of-data", [PH_ACCESS_CCERT] = "Client certificate", [PH_ACCESS_SASL] = "SASL login name",
		[PH_ACCESS_REVERSE_CLIENT] = "Unverified Client host",
	};

	return names[cls];
}

/* The table cannot be asked. */
static inline struct ph_verdict access_failed(struct ph_session *s, const char *what, enum ph_access_class cls, const struct ph_err *err)
{
	ph_log(PH_LOG_WARNING, "%s", err->text);
	return ph_verdict_text(s, PH_DEFER, 451, "4.3.5", "<%s>: %s rejected: Server configuration error", what, access_class_name(cls));
}

static inline struct ph_verdict access_answer(struct access_use *u, struct ph_session *s, enum ph_lookup r, const char *action,
					      const char *what, enum ph_access_class cls, const struct ph_err *err)
{
	switch (r) {
	case PH_LOOKUP_FOUND:
		return ph_access_action(s, u->where, action, what, cls);
	case PH_LOOKUP_NOTFOUND:
		return ph_verdict_dunno();
	case PH_LOOKUP_TEMPFAIL:
	case PH_LOOKUP_PERMERR:
		break;
	}
	return access_failed(s, what, cls, err);
}

/* The whole of a sender's or recipient's look-up. */
static inline struct ph_verdict access_check_mail(struct access_use *u, struct ph_session *s, const char *address, enum ph_access_class cls)
{
	struct ph_err err = { 0, "" };
	const char *action = NULL, *key = "";
	bool routed = false;
	struct ph_verdict v;
	enum ph_lookup r;

	/* Where it goes is no look-up in our table: a failure there is no "Server configuration error", and not for warn_if_reject. */
	if (*address && ph_session_destination(s, address, &key, &routed, &err) != PH_LOOKUP_FOUND)
		return ph_verdict_lookup_failed(s, PH_LOOKUP_TEMPFAIL, address, &err);
	r = access_mail(u, s, key, &action, &err);
	v = access_answer(u, s, r, action, address, cls, &err);
	return routed && cls == PH_ACCESS_RECIPIENT && v.cls == PH_PERMIT ? ph_verdict_dunno() : v;   /* who permits "ours" does not mean "elsewhere by way of ours" */
}

#define ACCESS_MODULE(name_, summary_) \
	static const struct ph_restriction_ops ops = { \
		.size = sizeof(ops), .n_args = 1, .prepare = access_prepare, .check = check, .release = access_release, \
	}; \
	PH_MODULE(PH_KIND_RESTRICTION, name_, "1.0", summary_, .ops.restriction = &ops)

#endif
