/* login.h: does the sender address belong to who has logged in (smtpd_sender_login_maps)? */
#ifndef MODULES_RESTRICTION_COMMON_LOGIN_H
#define MODULES_RESTRICTION_COMMON_LOGIN_H

#include <posthouse/module.h>
#include <posthouse/restriction.h>
#include <stdlib.h>
#include <string.h>

struct login_settings {
	const char *maps;
	bool sasl;
};
#define LOGIN_PARAMS(table) \
	static const struct ph_param table[] = { \
		PH_P_STR(struct login_settings, maps, "smtpd_sender_login_maps", "", "tables of the logins that own a sender address"), \
		PH_P_BOOL(struct login_settings, sasl, "smtpd_sasl_auth_enable", "no", "offer AUTH"), \
	}

struct login_use {
	struct ph_maps *maps;           /* NULL: none */
	const struct ph_conf *conf;
};

static inline int login_prepare(const struct ph_conf *conf, const void *settings, const char *arg, void **ret, struct ph_err *err)
{
	const struct login_settings *set = settings;
	struct login_use *u = ph_alloc(sizeof(*u));

	u->conf = conf;
	u->maps = *set->maps ? ph_maps_open(conf, "smtpd_sender_login_maps", set->maps) : NULL;
	*ret = u;
	return 0;
}

/* Who owns the address: FOUND with a list of logins.  Yields. */
static inline enum ph_lookup login_owners(struct login_use *u, struct ph_session *s, const char *sender, const char **ret, struct ph_err *err)
{
	struct ph_session_route route;

	if (ph_session_resolve(s, sender, &route) != PH_LOOKUP_FOUND) {
		ph_err_set(err, -11, "%s: address resolver failure", sender);
		return PH_LOOKUP_TEMPFAIL;
	}
	return ph_maps_find_address(u->maps, u->conf, route.recipient, PH_ADDR_FULL | PH_ADDR_NOEXT | PH_ADDR_LOCALPART | PH_ADDR_AT_DOMAIN, NULL,
				    ph_session_arena(s), ret, NULL, err);
}

static inline bool login_in(const char *owners, const char *user)
{
	char *copy = ph_strdup(owners), *cursor = copy, *w;
	bool found = false;

	while (!found && (w = ph_str_token(&cursor, PH_SEP_LIST)))
		found = ph_str_ieq(w, user);
	free(copy);
	return found;
}

/* The client has logged in: refuse an address that is not his.  known_only: an address that nobody owns is free.  Yields. */
static inline struct ph_verdict login_owned(struct login_use *u, struct ph_session *s, bool known_only)
{
	const char *sender = ph_session_sender(s), *user = ph_session_sasl_user(s), *owners = NULL;
	struct ph_err err = { 0, "" };
	enum ph_lookup r;

	if (!u->maps || !user || !sender || !*sender)
		return ph_verdict_dunno();
	r = login_owners(u, s, sender, &owners, &err);
	if (r < 0)
		return ph_verdict_lookup_failed(s, PH_LOOKUP_TEMPFAIL, sender, &err);
	if (r == PH_LOOKUP_FOUND ? login_in(owners, user) : known_only)
		return ph_verdict_dunno();
	return ph_verdict_text(s, PH_REJECT, 553, "5.7.1", "<%s>: Sender address rejected: not owned by user %s", sender, user);
}

/* The client has not logged in: refuse an address that somebody owns.  Yields. */
static inline struct ph_verdict login_missing(struct login_use *u, struct ph_session *s)
{
	const char *sender = ph_session_sender(s), *owners;
	struct ph_err err = { 0, "" };

	if (!u->maps || ph_session_sasl_user(s) || !sender || !*sender)
		return ph_verdict_dunno();
	switch (login_owners(u, s, sender, &owners, &err)) {
	case PH_LOOKUP_FOUND:
		return ph_verdict_text(s, PH_REJECT, 553, "5.7.1", "<%s>: Sender address rejected: not logged in", sender);
	case PH_LOOKUP_NOTFOUND:
		return ph_verdict_dunno();
	case PH_LOOKUP_TEMPFAIL:
	case PH_LOOKUP_PERMERR:
		break;
	}
	return ph_verdict_lookup_failed(s, PH_LOOKUP_TEMPFAIL, sender, &err);
}

/* decide_: expression of a verdict with u and s. */
#define LOGIN_MODULE(name_, summary_, decide_) \
	LOGIN_PARAMS(params); \
	static struct ph_verdict check(void *use, const void *settings, struct ph_session *s) \
	{ \
		const struct login_settings *set = settings; \
		struct login_use *u = use; \
		if (!set->sasl) { \
			ph_log(PH_LOG_WARNING, "restriction `" name_ "' ignored: no SASL support"); \
			return ph_verdict_dunno(); \
		} \
		return decide_; \
	} \
	static const struct ph_restriction_ops ops = { .size = sizeof(ops), .prepare = login_prepare, .check = check, .release = free }; \
	PH_MODULE(PH_KIND_RESTRICTION, name_, "1.0", summary_, PH_MODULE_PARAMS(params, struct login_settings), .ops.restriction = &ops)
#endif
