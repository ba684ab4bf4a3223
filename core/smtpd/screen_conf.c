/* screen_conf.c: the parameters of postscreen, and what is made of them once per service.  Does not yield.  Source: postconf(5). */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "smtpd/screen_text.h"

#define S struct ph_screen_settings

static const struct ph_param screen_params[] = {
	PH_P_STR(S, access_list, "postscreen_access_list", "permit_mynetworks", "postscreen: clients that are let in, or kept out, without tests"),
	PH_P_STR(S, denylist_action, "postscreen_denylist_action", "${postscreen_blacklist_action?{$postscreen_blacklist_action}:{ignore}}", "postscreen: ignore, enforce or drop, for what the access list rejects"),
	PH_P_STR(S, allowlist_interfaces, "postscreen_allowlist_interfaces", "${postscreen_whitelist_interfaces?{$postscreen_whitelist_interfaces}:{static:all}}", "postscreen: own addresses where a client can get onto the temporary list"),
	PH_P_TIME(S, greet_wait_ms, "postscreen_greet_wait", "${stress?{2}:{6}}s", 's', 1000, 0, "postscreen: how long a client has to wait for the whole greeting"),
	PH_P_TIME(S, greet_ttl_ms, "postscreen_greet_ttl", "1d", 's', 1000, 0, "postscreen: how long having waited counts"),
	PH_P_STR(S, greet_banner, "postscreen_greet_banner", "$smtpd_banner", "postscreen: first line of the greeting; empty: none"),
	PH_P_STR(S, greet_action, "postscreen_greet_action", "ignore", "postscreen: ignore, enforce or drop, when a client talks before its turn"),
	PH_P_STR(S, dnsbl_sites, "postscreen_dnsbl_sites", "", "postscreen: DNS lists: domain[=filter][*weight]"),
	PH_P_STR(S, dnsbl_action, "postscreen_dnsbl_action", "ignore", "postscreen: ignore, enforce or drop, when the lists' sum reaches the threshold"),
	PH_P_STR(S, dnsbl_reply_map, "postscreen_dnsbl_reply_map", "", "postscreen: names that are shown instead of lists' secret ones"),
	PH_P_INT(S, dnsbl_threshold, "postscreen_dnsbl_threshold", "1", 1, 0, "postscreen: sum of weights from which on a client is blocked"),
	PH_P_INT(S, dnsbl_allow_threshold, "postscreen_dnsbl_allowlist_threshold",
		 "${postscreen_dnsbl_whitelist_threshold?{$postscreen_dnsbl_whitelist_threshold}:{0}}", INT32_MIN, 0, "postscreen: sum (negative) up to which no other tests are made"),
	PH_P_TIME(S, dnsbl_timeout_ms, "postscreen_dnsbl_timeout", "10s", 's', 1000, 0, "postscreen: limit for a DNS list to answer"),
	PH_P_TIME(S, dnsbl_min_ttl_ms, "postscreen_dnsbl_min_ttl", "60s", 's', 1000, 0, "postscreen: shortest time that not being listed counts"),
	PH_P_TIME(S, dnsbl_max_ttl_ms, "postscreen_dnsbl_max_ttl", "${postscreen_dnsbl_ttl?{$postscreen_dnsbl_ttl}:{1}}h", 's', 1000, 0, "postscreen: longest time that not being listed counts"),
	PH_P_BOOL(S, pipelining_enable, "postscreen_pipelining_enable", "no", "postscreen: test for commands before their turn"),
	PH_P_STR(S, pipelining_action, "postscreen_pipelining_action", "enforce", "postscreen: ignore, enforce or drop"),
	PH_P_TIME(S, pipelining_ttl_ms, "postscreen_pipelining_ttl", "30d", 's', 1000, 0, "postscreen: how long having passed counts"),
	PH_P_BOOL(S, non_smtp_enable, "postscreen_non_smtp_command_enable", "no", "postscreen: test for commands of other protocols"),
	PH_P_STR(S, non_smtp_action, "postscreen_non_smtp_command_action", "drop", "postscreen: ignore, enforce or drop"),
	PH_P_TIME(S, non_smtp_ttl_ms, "postscreen_non_smtp_command_ttl", "30d", 's', 1000, 0, "postscreen: how long having passed counts"),
	PH_P_BOOL(S, bare_lf_enable, "postscreen_bare_newline_enable", "no", "postscreen: test for lines that end in LF alone"),
	PH_P_STR(S, bare_lf_action, "postscreen_bare_newline_action", "ignore", "postscreen: ignore, enforce or drop"),
	PH_P_TIME(S, bare_lf_ttl_ms, "postscreen_bare_newline_ttl", "30d", 's', 1000, 0, "postscreen: how long having passed counts"),
	PH_P_STR(S, cache_map, "postscreen_cache_map", "$default_cache_db_type:$data_directory/postscreen_cache", "postscreen: table of clients that have passed; empty: memory only"),
	PH_P_TIME(S, cache_retention_ms, "postscreen_cache_retention_time", "7d", 's', 1000, 0, "postscreen: how long an outdated entry is kept"),
	PH_P_TIME(S, cache_cleanup_ms, "postscreen_cache_cleanup_interval", "12h", 's', 0, 0, "postscreen: time between clean-ups of the table; 0: none"),
	PH_P_INT(S, pre_queue_limit, "postscreen_pre_queue_limit", "$default_process_limit", 1, 0, "postscreen: clients under test at a time"),
	PH_P_INT(S, post_queue_limit, "postscreen_post_queue_limit", "$default_process_limit", 1, 0, "postscreen: sessions of the SMTP server at a time"),
	PH_P_INT(S, client_count, "postscreen_client_connection_count_limit", "$smtpd_client_connection_count_limit", 0, 0, "postscreen: connections of one client at a time; 0: no limit"),
	PH_P_INT(S, command_count, "postscreen_command_count_limit", "20", 1, 0, "postscreen: commands of a session"),
	PH_P_TIME(S, command_time_ms, "postscreen_command_time_limit", "${stress?{10}:{300}}s", 's', 1000, 0, "postscreen: limit for a command to arrive"),
	PH_P_STR(S, command_filter, "postscreen_command_filter", "", "postscreen: table that replaces command lines"),
	PH_P_STR(S, forbidden_commands, "postscreen_forbidden_commands", "$smtpd_forbidden_commands", "postscreen: commands of other protocols"),
	PH_P_STR(S, discard_ehlo, "postscreen_discard_ehlo_keywords", "$smtpd_discard_ehlo_keywords", "postscreen: EHLO keywords that are not announced"),
	PH_P_STR(S, discard_ehlo_maps, "postscreen_discard_ehlo_keyword_address_maps", "$smtpd_discard_ehlo_keyword_address_maps", "postscreen: the same by client address"),
	PH_P_RAW(S, reject_footer, "postscreen_reject_footer", "$smtpd_reject_footer", "postscreen: text behind 4xx and 5xx replies"),
	PH_P_STR(S, reject_footer_maps, "postscreen_reject_footer_maps", "$smtpd_reject_footer_maps", "postscreen: the same, looked up by the reply"),
	PH_P_BOOL(S, helo_required, "postscreen_helo_required", "$smtpd_helo_required", "postscreen: MAIL needs HELO or EHLO first"),
	PH_P_BOOL(S, disable_vrfy, "postscreen_disable_vrfy_command", "$disable_vrfy_command", "postscreen: switch VRFY off"),
	PH_P_BOOL(S, respectful, "respectful_logging", "${{$compatibility_level} <level {3.6} ? {no} : {yes}}", "log ALLOWLISTED and DENYLISTED instead of older words"),
	PH_P_STR(S, tls_level, "postscreen_tls_security_level", "$smtpd_tls_security_level", "postscreen: none, may or encrypt"),
	PH_P_BOOL(S, use_tls, "postscreen_use_tls", "$smtpd_use_tls", "obsolete: postscreen_tls_security_level=may"),
	PH_P_BOOL(S, enforce_tls, "postscreen_enforce_tls", "$smtpd_enforce_tls", "obsolete: postscreen_tls_security_level=encrypt"),
	PH_P_STR(S, proxy, "postscreen_upstream_proxy_protocol", "", "postscreen: haproxy: connections begin with a PROXY header"),
	PH_P_TIME(S, proxy_timeout_ms, "postscreen_upstream_proxy_timeout", "5s", 's', 1000, 0, "postscreen: limit for the PROXY header to arrive"),
	PH_P_STR1(S, smtpd_service, "smtpd_service_name", "smtpd", "postscreen: master.cf service of type pass that gets the clients"),
	PH_P_STR(S, syslog_name, "syslog_name", "${multi_instance_name?{$multi_instance_name}:{postfix}}", "name in front of the program in log lines"),
};
PH_SETTINGS_TABLE("postscreen", screen_params)

int ph_screen_settings_load(const struct ph_conf *conf, struct ph_screen_settings *st, struct ph_err *err)
{
	return ph_conf_settings(conf, screen_params, PH_ARRAY_LEN(screen_params), st, err);
}

static int action(const char *name, const char *text, enum ph_screen_action *ret, struct ph_err *err)
{
	static const char *const words[] = { "ignore", "enforce", "drop" };

	for (size_t i = 0; i < PH_ARRAY_LEN(words); i++)
		if (strcasecmp(text, words[i]) == 0) {
			*ret = (enum ph_screen_action)i;
			return 0;
		}
	return ph_err_set(err, -EINVAL, "bad %s value: \"%s\": need ignore, enforce or drop", name, text);
}

static int compile_access(struct ph_screen *ps, struct ph_err *err)
{
	char *copy = ph_strdup(ps->set.access_list), *cursor = copy, *w;
	struct ph_screen_access *a;
	int r = 0;

	while (r == 0 && (w = ph_str_token(&cursor, PH_SEP_LIST))) {
		ps->access = ph_realloc(ps->access, (ps->n_access + 1) * sizeof(*ps->access));
		a = &ps->access[ps->n_access++];
		memset(a, 0, sizeof(*a));
		if (strcasecmp(w, "permit_mynetworks") == 0)
			a->mynetworks = true;
		else if (strcasecmp(w, "permit") == 0 || strcasecmp(w, "reject") == 0)
			a->fixed = strcasecmp(w, "permit") == 0 ? 1 : -1;
		else if (strchr(w, ':')) {
			a->map = ph_maps_open(ps->conf, "postscreen_access_list", w);
			a->title = ph_strdup(w);
		} else
			r = ph_err_set(err, -EINVAL, "postscreen_access_list: unknown word \"%s\"", w);
	}
	free(copy);
	return r;
}

static int compile_sites(struct ph_screen *ps, struct ph_err *err)
{
	char *copy = ph_strdup(ps->set.dnsbl_sites), *cursor = copy, *w;
	int r = 0;

	while (r == 0 && (w = ph_str_token(&cursor, PH_SEP_LIST))) {
		ps->sites = ph_realloc(ps->sites, (ps->n_sites + 1) * sizeof(*ps->sites));
		r = ph_screen_site_parse(w, &ps->sites[ps->n_sites], err);
		ps->n_sites += r == 0;
	}
	free(copy);
	return r;
}

static int compile_actions(struct ph_screen *ps, struct ph_err *err)
{
	const struct ph_screen_settings *set = &ps->set;
	int r = action("postscreen_greet_action", set->greet_action, &ps->actions[PH_SCREEN_PREGREET], err);

	if (r == 0)
		r = action("postscreen_dnsbl_action", set->dnsbl_action, &ps->actions[PH_SCREEN_DNSBL], err);
	if (r == 0)
		r = action("postscreen_pipelining_action", set->pipelining_action, &ps->actions[PH_SCREEN_PIPELINING], err);
	if (r == 0)
		r = action("postscreen_non_smtp_command_action", set->non_smtp_action, &ps->actions[PH_SCREEN_NON_SMTP], err);
	if (r == 0)
		r = action("postscreen_bare_newline_action", set->bare_lf_action, &ps->actions[PH_SCREEN_BARE_LF], err);
	if (r == 0)
		r = action("postscreen_denylist_action", set->denylist_action, &ps->deny_action, err);
	ps->enabled[PH_SCREEN_PREGREET] = *set->greet_banner != '\0';
	ps->enabled[PH_SCREEN_DNSBL] = ps->n_sites > 0;
	ps->enabled[PH_SCREEN_PIPELINING] = set->pipelining_enable;
	ps->enabled[PH_SCREEN_NON_SMTP] = set->non_smtp_enable;
	ps->enabled[PH_SCREEN_BARE_LF] = set->bare_lf_enable;
	ps->ttl_ms[PH_SCREEN_PREGREET] = set->greet_ttl_ms;
	ps->ttl_ms[PH_SCREEN_DNSBL] = set->dnsbl_max_ttl_ms;
	ps->ttl_ms[PH_SCREEN_PIPELINING] = set->pipelining_ttl_ms;
	ps->ttl_ms[PH_SCREEN_NON_SMTP] = set->non_smtp_ttl_ms;
	ps->ttl_ms[PH_SCREEN_BARE_LF] = set->bare_lf_ttl_ms;
	return r;
}

int ph_screen_compile(struct ph_screen *ps, struct ph_err *err)
{
	const char *own = ph_conf_get(ps->conf, "mynetworks"), *level = ps->set.tls_level;
	int r = compile_access(ps, err);

	if (r == 0)
		r = compile_sites(ps, err);
	if (r == 0)
		r = compile_actions(ps, err);
	if (r == 0 && *ps->set.proxy && strcasecmp(ps->set.proxy, "haproxy") != 0)
		r = ph_err_set(err, -EINVAL, "bad configuration: postscreen_upstream_proxy_protocol: only haproxy is known");
	ps->mynetworks = ph_match_open(ps->conf, "mynetworks", own ? own : "", PH_MATCH_ADDR);
	ps->allow_interfaces = ph_match_open(ps->conf, "postscreen_allowlist_interfaces", ps->set.allowlist_interfaces, PH_MATCH_ADDR);
	ps->ehlo_maps = ph_maps_open(ps->conf, "postscreen_discard_ehlo_keyword_address_maps", ps->set.discard_ehlo_maps);
	ps->command_filter = ph_maps_open(ps->conf, "postscreen_command_filter", ps->set.command_filter);
	ps->footer_maps = ph_maps_open(ps->conf, "postscreen_reject_footer_maps", ps->set.reject_footer_maps);
	ps->reply_map = ph_maps_open(ps->conf, "postscreen_dnsbl_reply_map", ps->set.dnsbl_reply_map);
	ps->ehlo_discard = ph_smtpd_ehlo_mask(ps->set.discard_ehlo);
	ps->tls = ps->svc && ps->svc->tls && strcasecmp(level, "none") != 0 && (*level || ps->set.use_tls || ps->set.enforce_tls);
	ps->enforce_tls = strcasecmp(level, "encrypt") == 0 || (!*level && ps->set.enforce_tls);
	ph_smtpd_words_open(ps->conf, "postscreen_forbidden_commands", ps->set.forbidden_commands, &ps->forbidden);
	return r;
}
