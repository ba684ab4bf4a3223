/* dnslist.h: DNS lists of clients (by address) and of domains: what reject_rbl_client and its kind share. */
#ifndef MODULES_RESTRICTION_COMMON_DNSLIST_H
#define MODULES_RESTRICTION_COMMON_DNSLIST_H

#include <posthouse/module.h>
#include <posthouse/restriction.h>
#include <string.h>


struct dnslist_settings {
	int code;
	const char *reply, *reply_maps;
};
#define DNSLIST_PARAMS(table) \
	static const struct ph_param table[] = { \
		PH_P_INT(struct dnslist_settings, code, "maps_rbl_reject_code", "554", 200, 599, "reply code for what a DNS list names"), \
		PH_P_RAW(struct dnslist_settings, reply, "default_rbl_reply", \
			 "$rbl_code Service unavailable; $rbl_class [$rbl_what] blocked using $rbl_domain${rbl_reason?; $rbl_reason}", \
			 "template of the reply to what a DNS list names"), \
		PH_P_STR(struct dnslist_settings, reply_maps, "rbl_reply_maps", "", "templates of replies, looked up by the list's domain"), \
	}

struct dnslist;

/* "dnsbl.example" or "dnsbl.example=d.d.d.d".  For struct ph_restriction_ops. */
int dnslist_prepare(const struct ph_conf *conf, const void *settings, const char *arg, void **ret, struct ph_err *err);
/* The same with the templates of replies; settings: struct dnslist_settings. */
int dnslist_prepare_reject(const struct ph_conf *conf, const void *settings, const char *arg, void **ret, struct ph_err *err);
void dnslist_release(void *use);

/* What is looked up, in front of the list's domain: the address turned around, or the domain of a name or address; NULL: nothing that can stand
 * there.  In the session's arena. */
const char *dnslist_key_of_addr(struct ph_session *s, const char *addr);
const char *dnslist_key_of_domain(struct ph_session *s, const char *name_or_address);

/* A client's name when it has one; an address when it has a domain. */
static inline const char *dnslist_known(const char *name)
{
	return ph_str_ieq(name, "unknown") ? NULL : name;
}
static inline const char *dnslist_mail(const char *address)
{
	return address && strchr(address, '@') ? address : NULL;
}

/* Ask in the background, so that the answer is in the resolver's cache when it is needed.  Does not yield. */
void dnslist_prefetch(const struct dnslist *d, struct ph_session *s, const char *key);
/* FOUND, NOTFOUND, TEMPFAIL (logged).  *ret_reason: the TXT records, when FOUND and asked for.  Yields. */
enum ph_lookup dnslist_ask(const struct dnslist *d, struct ph_session *s, const char *key, const char **ret_reason);

/* Refuse what the list names.  what, cls: of $rbl_what, $rbl_class.  key NULL: no opinion.  Yields. */
struct ph_verdict dnslist_reject(const struct dnslist *d, const struct dnslist_settings *set, struct ph_session *s, const char *key,
				 const char *what, const char *cls);
/* Permit what the list names, unless that would let a stranger relay.  what, cls: for the reply when the list does not answer.  Yields. */
struct ph_verdict dnslist_permit(const struct dnslist *d, struct ph_session *s, const char *key, const char *what, const char *cls);

/* A module that refuses by a list: key_ and what_ are expressions with s. */
#define DNSLIST_REJECT_MODULE(name_, summary_, key_, what_, class_) \
	DNSLIST_PARAMS(params); \
	static struct ph_verdict check(void *use, const void *settings, struct ph_session *s) \
	{ \
		return dnslist_reject(use, settings, s, key_, what_, class_); \
	} \
	static void prefetch(void *use, const void *settings, struct ph_session *s) \
	{ \
		dnslist_prefetch(use, s, key_); \
	} \
	static const struct ph_restriction_ops ops = { \
		.size = sizeof(ops), .n_args = 1, .prepare = dnslist_prepare_reject, .check = check, .release = dnslist_release, .prefetch = prefetch, \
	}; \
	PH_MODULE(PH_KIND_RESTRICTION, name_, "1.0", summary_, PH_MODULE_PARAMS(params, struct dnslist_settings), .ops.restriction = &ops)
#define DNSLIST_PERMIT_MODULE(name_, summary_, key_, what_, class_) \
	static struct ph_verdict check(void *use, const void *settings, struct ph_session *s) \
	{ \
		return dnslist_permit(use, s, key_, what_, class_); \
	} \
	static void prefetch(void *use, const void *settings, struct ph_session *s) \
	{ \
		dnslist_prefetch(use, s, key_); \
	} \
	static const struct ph_restriction_ops ops = { \
		.size = sizeof(ops), .n_args = 1, .prepare = dnslist_prepare, .check = check, .release = dnslist_release, .prefetch = prefetch, \
	}; \
	PH_MODULE(PH_KIND_RESTRICTION, name_, "1.0", summary_, .ops.restriction = &ops)
#endif
