/* screen.h: postscreen: looks at a client before an SMTP session is spent on it.  One folder with the server, whose listeners, sessions and
 * counters it shares. */
#ifndef CORE_SMTPD_SCREEN_H
#define CORE_SMTPD_SCREEN_H

#include <posthouse/dns.h>
#include <posthouse/lookup.h>

#include "config/config.h"
#include "smtpd/session.h"

enum ph_screen_test { PH_SCREEN_PREGREET, PH_SCREEN_DNSBL, PH_SCREEN_PIPELINING, PH_SCREEN_NON_SMTP, PH_SCREEN_BARE_LF, PH_SCREEN_TESTS };
enum ph_screen_action { PH_SCREEN_IGNORE, PH_SCREEN_ENFORCE, PH_SCREEN_DROP };

struct ph_screen_settings {
	const char *access_list, *denylist_action, *allowlist_interfaces;
	int64_t greet_wait_ms, greet_ttl_ms;
	const char *greet_banner, *greet_action;
	const char *dnsbl_sites, *dnsbl_action, *dnsbl_reply_map;
	int dnsbl_threshold, dnsbl_allow_threshold;
	int64_t dnsbl_timeout_ms, dnsbl_min_ttl_ms, dnsbl_max_ttl_ms;
	bool pipelining_enable, non_smtp_enable, bare_lf_enable;
	const char *pipelining_action, *non_smtp_action, *bare_lf_action;
	int64_t pipelining_ttl_ms, non_smtp_ttl_ms, bare_lf_ttl_ms;
	const char *cache_map;
	int64_t cache_retention_ms, cache_cleanup_ms;
	int pre_queue_limit, post_queue_limit, client_count;
	int command_count;
	int64_t command_time_ms;
	const char *command_filter, *forbidden_commands, *discard_ehlo, *discard_ehlo_maps, *reject_footer, *reject_footer_maps;
	bool helo_required, disable_vrfy, respectful;
	const char *tls_level, *proxy;
	bool use_tls, enforce_tls;
	int64_t proxy_timeout_ms;
	const char *smtpd_service, *syslog_name;
};

/* Part of a DNS list: one entry of postscreen_dnsbl_sites. */
struct ph_screen_site {
	char *domain;
	const char *shown;              /* in replies: postscreen_dnsbl_reply_map */
	struct ph_dnslist_filter filter;
	bool filtered;
	int weight;
};

struct ph_screen_access {
	bool mynetworks;
	int fixed;                      /* 1 permit, -1 reject, 0: a table */
	struct ph_maps *map;
	char *title;                    /* "type:name" */
};

/* One postscreen line of master.cf. */
struct ph_screen {
	const struct ph_conf *conf;
	const char *name;
	const char *limit_scope;
	struct ph_screen_settings set;
	struct ph_smtpd_service *svc;   /* who gets the clients that pass */
	struct ph_match *mynetworks, *allow_interfaces;
	struct ph_screen_access *access;
	size_t n_access;
	struct ph_screen_site *sites;
	size_t n_sites;
	enum ph_screen_action actions[PH_SCREEN_TESTS], deny_action;
	int64_t ttl_ms[PH_SCREEN_TESTS];
	bool enabled[PH_SCREEN_TESTS];
	struct ph_maps *ehlo_maps, *command_filter, *footer_maps, *reply_map;
	struct ph_smtpd_words forbidden;
	unsigned ehlo_discard;
	bool tls, enforce_tls;
	int screening;                  /* sessions that are being looked at */
	struct ph_screen_cache *cache;  /* NULL: none */
	const char *fatal;
	char fatal_text[600];
};

/* A client's state. */
struct ph_screen_client {
	struct ph_screen *ps;
	struct ph_session *s;
	int64_t stamps[PH_SCREEN_TESTS];        /* seconds since 1970 until which a test counts as passed; 0: never */
	bool todo[PH_SCREEN_TESTS];
	bool failed;                    /* some test: nothing is remembered */
	bool is_new;                    /* there is a test that it has never passed */
	bool renewed;                   /* stamps has news for the temporary list */
	int64_t dnsbl_ttl_ms;
	const char *reject;             /* reply to RCPT: an enforced test failed; NULL */
	char reject_text[400];
	bool pregreeted;
	char who[80];                   /* "[addr]:port" */
	struct ph_arena *arena;
};

/* screen.c */
struct ph_screen *ph_screen_new(const struct ph_config *config, const struct ph_service *service, struct ph_smtpd_service *svc, struct ph_limits *limits);
void ph_screen_free(struct ph_screen **ps);
/* Look at the client of s.  true: it may go on to the SMTP server; false: it is finished with.  Yields. */
bool ph_screen_client(struct ph_screen *ps, struct ph_session *s);
/* A test is passed, for so long. */
void ph_screen_pass(struct ph_screen_client *c, enum ph_screen_test t, int64_t ttl_ms);
/* screen_conf.c */
int ph_screen_settings_load(const struct ph_conf *conf, struct ph_screen_settings *st, struct ph_err *err);
int ph_screen_compile(struct ph_screen *ps, struct ph_err *err);
/* screen_dnsbl.c */
struct ph_screen_dnsbl;
/* Ask all lists in the background. */
struct ph_screen_dnsbl *ph_screen_dnsbl_start(struct ph_screen *ps, const char *addr);
/* Wait until all have answered, or the deadline.  Yields. */
void ph_screen_dnsbl_wait(struct ph_screen_dnsbl *d, int64_t deadline_ms);
/* The sum of what has answered; *ret_domain: the heaviest list, *ret_ttl_ms.  */
int ph_screen_dnsbl_score(struct ph_screen_dnsbl *d, const char **ret_domain, int64_t *ret_ttl_ms);
void ph_screen_dnsbl_unref(struct ph_screen_dnsbl **d);
/* screen_engine.c: the server that takes no mail.  Yields. */
void ph_screen_engine(struct ph_screen_client *c);
/* screen_cache.c: who has passed which tests, for all workers (shared memory) and across restarts (postscreen_cache_map). */
struct ph_screen_cache *ph_screen_cache_new(const struct ph_conf *conf, const char *table, struct ph_limits *shared, int64_t retention_ms,
					    int64_t cleanup_ms);
bool ph_screen_cache_get(struct ph_screen_cache *c, const char *addr, int64_t stamps[PH_SCREEN_TESTS]);         /* Yields when the table does. */
void ph_screen_cache_put(struct ph_screen_cache *c, const char *addr, const int64_t stamps[PH_SCREEN_TESTS]);
void ph_screen_cache_free(struct ph_screen_cache **c);
#endif
