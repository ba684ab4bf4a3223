/* service.c: what the sessions of a master.cf service share: settings, compiled lists, tables, TLS, SASL.  Built once, before the
 * process gives up its rights; does not yield. */
#include <errno.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "config/general.h"
#include "module/loader.h"
#include "module/table.h"
#include "net/tls.h"
#include "message/notice.h"
#include "smtpd/limits.h"
#include "smtpd/restrict.h"
#include "smtpd/smtpd.h"
#include "smtpd/sni.h"

static struct ph_match *match(struct ph_smtpd_service *svc, const char *title, const char *text, unsigned flags)
{
	return *text ? ph_match_open(svc->conf, title, text, flags) : NULL;
}

static struct ph_maps *maps(struct ph_smtpd_service *svc, const char *title, const char *text)
{
	return ph_maps_open(svc->conf, title, text);
}

void ph_smtpd_words_open(const struct ph_conf *conf, const char *title, const char *text, struct ph_smtpd_words *ret)
{
	char *copy = ph_strdup(text), *cursor = copy, *w;

	while ((w = ph_str_token(&cursor, PH_SEP_LIST))) {
		ret->w = ph_realloc(ret->w, (ret->n + 1) * sizeof(*ret->w));
		ret->w[ret->n].word = ph_strdup(w);
		ret->w[ret->n].map = strchr(w, ':') ? ph_maps_open(conf, title, w) : NULL;
		ret->n++;
	}
	free(copy);
}

static void class_names(struct ph_smtpd_service *svc)
{
	char *copy = ph_strdup(svc->set.restriction_classes), *cursor = copy, *w;
	const char **names = ph_alloc(sizeof(*names));
	size_t n = 0;

	while ((w = ph_str_token(&cursor, PH_SEP_LIST))) {
		names = ph_realloc(names, (n + 2) * sizeof(*names));
		names[n++] = ph_strdup(w);
		names[n] = NULL;
	}
	free(copy);
	svc->classes = names;
}

/* Words and tables of client addresses (behind check_address_map, or without it): any of them will do. */
static void rewrite_clients(struct ph_smtpd_service *svc, const char *text)
{
	char *copy = ph_strdup(text), *cursor = copy, *w;
	struct ph_buf words = PH_BUF_INIT(2 * strlen(text) + 16), tables = PH_BUF_INIT(2 * strlen(text) + 16);

	while ((w = ph_str_token(&cursor, PH_SEP_LIST)))
		if (strcasecmp(w, "check_address_map") != 0)
			ph_buf_printf(strchr(w, ':') ? &tables : &words, "%s, ", w);
	svc->rewrite_clients = ph_rlist_new(svc, "local_header_rewrite_clients", ph_buf_str(&words));
	if (tables.len)
		svc->rewrite_tables = ph_maps_open(svc->conf, "local_header_rewrite_clients", ph_buf_str(&tables));
	ph_buf_done(&words);
	ph_buf_done(&tables);
	free(copy);
}

static void lists(struct ph_smtpd_service *svc)
{
	const struct ph_smtpd_settings *set = &svc->set;

	class_names(svc);
	svc->client = ph_rlist_new(svc, "smtpd_client_restrictions", set->client_restrictions);
	svc->helo = ph_rlist_new(svc, "smtpd_helo_restrictions", set->helo_restrictions);
	svc->sender = ph_rlist_new(svc, "smtpd_sender_restrictions", set->sender_restrictions);
	svc->relay = ph_rlist_new(svc, "smtpd_relay_restrictions", set->relay_restrictions);
	svc->recipient = ph_rlist_new(svc, "smtpd_recipient_restrictions", set->recipient_restrictions);
	svc->data = ph_rlist_new(svc, "smtpd_data_restrictions", set->data_restrictions);
	svc->eod = ph_rlist_new(svc, "smtpd_end_of_data_restrictions", set->eod_restrictions);
	svc->etrn = ph_rlist_new(svc, "smtpd_etrn_restrictions", set->etrn_restrictions);
	rewrite_clients(svc, set->local_header_rewrite_clients);
}

/* The server must not become an open relay by a forgotten word. */
static void relay_safety(struct ph_smtpd_service *svc)
{
	if (svc->standalone || ph_rlist_blocks_relay(svc->relay) || ph_rlist_blocks_relay(svc->recipient))
		return;
	svc->fatal = "in parameter smtpd_relay_restrictions or smtpd_recipient_restrictions, specify at least one working instance of: "
		     "reject_unauth_destination, defer_unauth_destination, reject, defer, defer_if_permit or check_relay_domains";
}

static int choose(const char *value, const char *const *names, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (strcasecmp(value, names[i]) == 0)
			return (int)i;
	return -1;
}

static void bare_lf(struct ph_smtpd_service *svc)
{
	static const char *const names[] = { "no", "yes", "normalize", "note", "reject" };
	static const enum ph_smtpd_bare_lf values[] = { PH_BARE_LF_NO, PH_BARE_LF_NORMALIZE, PH_BARE_LF_NORMALIZE, PH_BARE_LF_NOTE,
							PH_BARE_LF_REJECT };
	int i = choose(svc->set.forbid_bare_newline, names, PH_ARRAY_LEN(names));

	if (i < 0)
		ph_log(PH_LOG_WARNING, "smtpd_forbid_bare_newline: unknown value \"%s\", using \"normalize\"", svc->set.forbid_bare_newline);
	svc->bare_lf = i < 0 ? PH_BARE_LF_NORMALIZE : values[i];
}

static void receive_override(struct ph_smtpd_service *svc)
{
	char *copy = ph_strdup(svc->set.receive_override), *cursor = copy, *w;

	while ((w = ph_str_token(&cursor, PH_SEP_LIST))) {
		if (strcasecmp(w, "no_unknown_recipient_checks") == 0)
			svc->no_unknown_checks = true;
		else if (strcasecmp(w, "no_address_mappings") == 0)
			svc->intake_flags |= PH_INTAKE_NO_MAPPINGS;
		else if (strcasecmp(w, "no_header_body_checks") == 0)
			svc->intake_flags |= PH_INTAKE_NO_CHECKS;
		else if (strcasecmp(w, "no_milters") == 0)
			svc->no_milters = true;
		else
			ph_log(PH_LOG_WARNING, "receive_override_options: unknown word \"%s\"", w);
	}
	if (svc->no_milters)
		svc->intake_flags |= PH_INTAKE_NO_MILTERS;
	free(copy);
}

/* ---- TLS ---- */

static void tls_level(struct ph_smtpd_service *svc)
{
	static const char *const names[] = { "none", "may", "encrypt" };
	const struct ph_smtpd_settings *set = &svc->set;
	int i;

	svc->tls_level = set->enforce_tls ? PH_SMTPD_TLS_ENCRYPT : set->use_tls ? PH_SMTPD_TLS_MAY : PH_SMTPD_TLS_NONE;
	if (*set->tls_level) {
		i = choose(set->tls_level, names, PH_ARRAY_LEN(names));
		if (i < 0)
			ph_log(PH_LOG_WARNING, "smtpd_tls_security_level: unsupported TLS level \"%s\", using \"encrypt\"", set->tls_level);
		svc->tls_level = i < 0 ? PH_SMTPD_TLS_ENCRYPT : (enum ph_smtpd_tls_level)i;
	}
	if (set->tls_wrappermode)
		svc->tls_level = PH_SMTPD_TLS_ENCRYPT;
	if (svc->standalone)
		svc->tls_level = PH_SMTPD_TLS_NONE;
}

static int tls_loglevel(const char *text)
{
	static const char *const names[] = { "none", "summary", "debug", "ssl-expert", "ssl-developer" };
	int64_t n;
	int i;

	if (ph_str_int64(text, 0, 9, &n) == 0)
		return (int)n;
	i = choose(text, names, PH_ARRAY_LEN(names));
	return i < 0 ? (strcasecmp(text, "routine") == 0 ? 1 : 0) : i;
}

/* Contexts that ph_smtpd_prepare has made, until their service takes them. */
static struct prepared {
	struct prepared *next;
	const struct ph_service *service;
	struct ph_tls_ctx *ctx;         /* NULL: it went wrong, and was said */
} *prepared;

static bool take_prepared(struct ph_smtpd_service *svc)
{
	struct prepared *p, **at;

	for (at = &prepared; (p = *at); at = &p->next) {
		if (p->service != svc->service || !svc->service)
			continue;
		svc->tls = p->ctx;
		*at = p->next;
		free(p);
		return true;
	}
	return false;
}

static const char *cipherlist(const struct ph_smtpd_settings *set, const char *grade)
{
	static const char *const names[] = { "export", "low", "medium", "high", "null" };
	const char *const lists[] = { set->tls_export, set->tls_low, set->tls_medium, set->tls_high, set->tls_null };
	int i = choose(grade, names, PH_ARRAY_LEN(names));

	return i < 0 || !*lists[i] ? NULL : lists[i];
}

static const char *groups(const struct ph_smtpd_settings *set)
{
	static const char *const names[] = { "auto", "strong", "ultra", "none" };
	const char *const lists[] = { set->tls_auto_curves, set->tls_strong_curve, set->tls_ultra_curve, set->tls_auto_curves };
	int i = choose(set->tls_eecdh_grade, names, PH_ARRAY_LEN(names));

	if (i < 0)
		ph_log(PH_LOG_WARNING, "smtpd_tls_eecdh_grade: unknown value \"%s\", using \"auto\"", set->tls_eecdh_grade);
	return lists[i < 0 ? 0 : i];
}

static void tls(struct ph_smtpd_service *svc)
{
	const struct ph_smtpd_settings *set = &svc->set;
	bool must = svc->tls_level == PH_SMTPD_TLS_ENCRYPT;
	struct ph_tls_settings t;
	struct ph_buf exclude = PH_BUF_INIT(4096);
	struct ph_err err;

	svc->tls_loglevel = tls_loglevel(set->tls_loglevel);
	if (svc->tls_level == PH_SMTPD_TLS_NONE || take_prepared(svc))
		return;
	if (!*set->tls_cert_file && !*set->tls_eccert_file && !*set->tls_dcert_file && !*set->tls_chain_files) {
		ph_log(PH_LOG_WARNING, "No server certs available. TLS won't be enabled");
		return;
	}
	ph_buf_puts(&exclude, set->tls_exclude_ciphers);
	if (must && *set->tls_mandatory_exclude_ciphers)
		ph_buf_printf(&exclude, " %s", set->tls_mandatory_exclude_ciphers);
	memset(&t, 0, sizeof(t));
	t.cert_file = set->tls_cert_file;
	t.key_file = set->tls_key_file;
	t.dcert_file = set->tls_dcert_file;
	t.dkey_file = set->tls_dkey_file;
	t.eccert_file = set->tls_eccert_file;
	t.eckey_file = set->tls_eckey_file;
	t.chain_files = set->tls_chain_files;
	t.ca_file = set->tls_ca_file;
	t.ca_path = set->tls_ca_path;
	t.protocols = must ? set->tls_mandatory_protocols : set->tls_protocols;
	t.ciphers = must ? set->tls_mandatory_ciphers : set->tls_ciphers;
	t.exclude_ciphers = ph_buf_str(&exclude);
	t.verify = set->tls_req_ccert && (must || set->tls_wrappermode) ? PH_TLS_VERIFY_REQUIRE
		 : set->tls_ask_ccert || set->tls_req_ccert ? PH_TLS_VERIFY_ASK : PH_TLS_VERIFY_NONE;
	t.verify_depth = set->tls_verifydepth;
	t.fingerprint_digest = set->tls_fingerprint_digest;
	t.session_id_context = svc->name;
	t.session_timeout_ms = set->tls_session_ms > 0 ? set->tls_session_ms : -1;
	t.cipherlist = cipherlist(set, t.ciphers);
	t.prefer_server_ciphers = set->tls_preempt;
	t.groups = groups(set);
	t.dh_file = set->tls_dh_file;
	ph_sni_use(svc->conf, set->tls_sni_maps, &t);
	if (ph_tls_server_ctx(&t, &svc->tls, &err) < 0) {
		svc->tls = NULL;
		ph_log(PH_LOG_WARNING, "TLS: %s", err.text);
		ph_log(PH_LOG_WARNING, "cannot load certificate or key of service %s: TLS is not available", svc->name);
	}
	ph_buf_done(&exclude);
}

/* ---- SASL ---- */

static void sasl(struct ph_smtpd_service *svc)
{
	const struct ph_smtpd_settings *set = &svc->set;
	const struct ph_module *m;
	const void *settings;
	struct ph_err err = { 0, "" };

	if (!set->sasl_enable || svc->standalone)
		return;
	m = ph_module_load(PH_KIND_SASL, set->sasl_type, &err);
	settings = m ? ph_module_settings(m, svc->conf, &err) : NULL;
	if (!m || !settings || (m->ops.sasl->prepare && m->ops.sasl->prepare(svc->conf, settings, set->sasl_path, &svc->sasl_use, &err) < 0)) {
		ph_log(PH_LOG_WARNING, "unsupported SASL server implementation: %s: %s", set->sasl_type, err.text);
		svc->sasl_fatal = "SASL per-process initialization failed";
		return;
	}
	svc->sasl_module = m;
	svc->sasl_exceptions = match(svc, "smtpd_sasl_exceptions_networks", set->sasl_exceptions_networks, PH_MATCH_ADDR | PH_MATCH_DOMAIN);
	if (*set->sasl_mechanism_filter && strcmp(set->sasl_mechanism_filter, "static:rest") != 0)
		svc->sasl_filter = match(svc, "smtpd_sasl_mechanism_filter", set->sasl_mechanism_filter, PH_MATCH_STRING);
}

/* ---- all of it ---- */

static void matches(struct ph_smtpd_service *svc)
{
	const struct ph_smtpd_settings *set = &svc->set;
	const unsigned hosts = PH_MATCH_DOMAIN | PH_MATCH_PARENT | PH_MATCH_ADDR;

	svc->debug_peers = match(svc, "debug_peer_list", set->debug_peers, hosts);
	svc->xclient_hosts = match(svc, "smtpd_authorized_xclient_hosts", set->xclient_hosts, hosts);
	svc->xforward_hosts = match(svc, "smtpd_authorized_xforward_hosts", set->xforward_hosts, hosts);
	svc->limit_exceptions = match(svc, "smtpd_client_event_limit_exceptions", set->limit_exceptions, hosts);
	svc->bare_lf_exclusions = match(svc, "smtpd_forbid_bare_newline_exclusions", set->bare_newline_exclusions, hosts);
	svc->verp_clients = match(svc, "smtpd_authorized_verp_clients", set->verp_clients, hosts);
	svc->fast_flush = match(svc, "fast_flush_domains", set->fast_flush_domains, PH_MATCH_DOMAIN | PH_MATCH_PARENT);
	svc->dns_filter = *set->dns_reply_filter ? ph_maps_open(svc->conf, "smtpd_dns_reply_filter", set->dns_reply_filter) : NULL;
	svc->log_permit = match(svc, "smtpd_log_access_permit_actions", set->log_permit_actions, PH_MATCH_STRING);
	svc->milter_maps = maps(svc, "smtpd_milter_maps", set->milter_maps);
	svc->ehlo_maps = maps(svc, "smtpd_discard_ehlo_keyword_address_maps", set->discard_ehlo_maps);
	svc->command_filter = maps(svc, "smtpd_command_filter", set->command_filter);
	svc->reject_filter = maps(svc, "smtpd_reject_filter_maps", set->reject_filter_maps);
	ph_maps_allow_breaks(svc->reject_filter);
	svc->footer_maps = maps(svc, "smtpd_reject_footer_maps", set->reject_footer_maps);
	ph_smtpd_words_open(svc->conf, "smtpd_noop_commands", set->noop_commands, &svc->noop);
	ph_smtpd_words_open(svc->conf, "smtpd_forbidden_commands", set->forbidden_commands, &svc->forbidden);
}

/* smtpd(8): access controls in a stand-alone session only when it runs as the mail owner. */
static bool is_mail_owner(const struct ph_config *config)
{
	struct passwd *pw = getpwnam(ph_conf_general(ph_config_main(config))->mail_owner);

	return pw && geteuid() != 0 && pw->pw_uid == geteuid();
}

/* What a service under stress has in common with the calm one: what was opened with more rights, and what is counted. */
static void borrow(struct ph_smtpd_service *svc, const struct ph_smtpd_service *calm)
{
	svc->counters = calm->counters;
	svc->tls_level = calm->tls_level;
	svc->tls_loglevel = calm->tls_loglevel;
	svc->tls = calm->tls;
	svc->tls_broken = calm->tls_broken;
	svc->sasl_module = calm->sasl_module;
	svc->sasl_use = calm->sasl_use;
	svc->sasl_exceptions = calm->sasl_exceptions;
	svc->sasl_filter = calm->sasl_filter;
	svc->sasl_fatal = calm->sasl_fatal;
}

/* calm: the service whose stressed form this is, or NULL. */
static struct ph_smtpd_service *service_new(const struct ph_config *config, const struct ph_service *service, const struct ph_conf *conf,
					    struct ph_limits *limits, const struct ph_smtpd_service *calm)
{
	struct ph_smtpd_service *svc = ph_alloc(sizeof(*svc));
	const struct ph_service *cleanup;
	struct ph_err err;

	svc->config = config;
	svc->service = service;
	svc->standalone = !service && !is_mail_owner(config);
	svc->conf = conf;
	svc->name = service ? service->name : "smtp";
	svc->limits = limits;
	if (ph_smtpd_settings_load(svc->conf, &svc->set, &err) < 0) {
		snprintf(svc->fatal_text, sizeof(svc->fatal_text), "%s", err.text);
		svc->fatal = svc->fatal_text;
		return svc;
	}
	cleanup = ph_config_service(config, svc->set.cleanup_service, PH_SVC_UNIX);
	svc->cleanup_conf = cleanup ? cleanup->conf : svc->conf;
	svc->cleanup_syslog_name = ph_conf_get(cleanup ? cleanup->conf : ph_config_main(config), "syslog_name");
	svc->route = ph_route_of(svc->conf);
	svc->proxy_protocol = strcasecmp(svc->set.upstream_proxy, "haproxy") == 0;
	if (*svc->set.upstream_proxy && !svc->proxy_protocol)
		svc->fatal = "bad configuration: smtpd_upstream_proxy_protocol: only haproxy is known";
	svc->ehlo_discard = ph_smtpd_ehlo_mask(svc->set.discard_ehlo_keywords);
	if (!calm && !svc->standalone && ph_limit_store_new(svc->conf, svc->set.counter_store, svc->set.counter_failure, &svc->counters, &err) < 0) {
		snprintf(svc->fatal_text, sizeof(svc->fatal_text), "%s", err.text);
		svc->fatal = svc->fatal_text;
	}
	bare_lf(svc);
	receive_override(svc);
	matches(svc);
	lists(svc);
	relay_safety(svc);
	svc->notify_classes = ph_notice_classes(svc->set.notify_classes);
	if (calm) {
		borrow(svc, calm);
		return svc;
	}
	tls_level(svc);
	tls(svc);
	sasl(svc);
	return svc;
}

struct ph_smtpd_service *ph_smtpd_service_new(const struct ph_config *config, const struct ph_service *service, struct ph_limits *limits)
{
	return service_new(config, service, service ? service->conf : ph_config_main(config), limits, NULL);
}

/* "-o stress=" in master.cf has the last word. */
static bool may_be_stressed(const struct ph_smtpd_service *svc)
{
	const char *origin = svc->service ? ph_conf_origin(svc->conf, "stress") : NULL;

	return svc->service && !(origin && strstr(origin, "master.cf"));
}

struct ph_smtpd_service *ph_smtpd_service_now(struct ph_smtpd_service *svc)
{
	static const char *const name = "stress", *const value = "yes";

	if (ph_now_ms() >= svc->stress_until_ms || !may_be_stressed(svc))
		return svc;
	if (!svc->stressed)
		svc->stressed = service_new(svc->config, svc->service, ph_conf_derive(svc->conf, &name, &value, 1), svc->limits, svc);
	return svc->stressed->fatal ? svc : svc->stressed;
}

bool ph_smtpd_would_relay(const struct ph_config *config, const struct ph_service *service, char *ret_text, size_t cap)
{
	struct ph_smtpd_service *svc = ph_alloc(sizeof(*svc));
	struct ph_err err;
	bool unsafe = false;

	svc->config = config;
	svc->service = service;
	svc->conf = service->conf;
	svc->name = service->name;
	if (ph_smtpd_settings_load(svc->conf, &svc->set, &err) == 0) {
		class_names(svc);
		svc->relay = ph_rlist_new(svc, "smtpd_relay_restrictions", svc->set.relay_restrictions);
		svc->recipient = ph_rlist_new(svc, "smtpd_recipient_restrictions", svc->set.recipient_restrictions);
		relay_safety(svc);
		unsafe = svc->fatal != NULL;
		if (unsafe)
			snprintf(ret_text, cap, "%s", svc->fatal);
	}
	ph_smtpd_service_free(&svc);
	return unsafe;
}

void ph_smtpd_words_free(struct ph_smtpd_words *list)
{
	for (size_t i = 0; i < list->n; i++)
		free((char *)list->w[i].word);
	free(list->w);
}

void ph_smtpd_service_free(struct ph_smtpd_service **sp)
{
	struct ph_smtpd_service *svc = *sp;

	if (!svc)
		return;
	if (svc->stressed) {
		borrow(svc->stressed, &(struct ph_smtpd_service){ .config = NULL });
		ph_smtpd_service_free(&svc->stressed);
	}
	ph_rlist_free(&svc->client);
	ph_rlist_free(&svc->helo);
	ph_rlist_free(&svc->sender);
	ph_rlist_free(&svc->relay);
	ph_rlist_free(&svc->recipient);
	ph_rlist_free(&svc->data);
	ph_rlist_free(&svc->eod);
	ph_rlist_free(&svc->etrn);
	ph_rlist_free(&svc->rewrite_clients);
	ph_rcache_free(&svc->rcache);
	ph_smtpd_words_free(&svc->noop);
	ph_smtpd_words_free(&svc->forbidden);
	for (size_t i = 0; svc->classes && svc->classes[i]; i++)
		free((char *)svc->classes[i]);
	free((void *)svc->classes);
	if (svc->sasl_module && svc->sasl_module->ops.sasl->release)
		svc->sasl_module->ops.sasl->release(svc->sasl_use);
	ph_tls_ctx_free(&svc->tls);
	ph_limit_store_free(&svc->counters);
	free(svc);
	*sp = NULL;
}

void ph_smtpd_prepare(const struct ph_config *config)
{
	struct ph_smtpd_service *svc;
	const struct ph_service *s;
	struct prepared *p;
	size_t n;

	s = ph_config_services(config, &n);
	for (size_t i = 0; i < n; i++) {
		if ((s[i].type != PH_SVC_INET && s[i].type != PH_SVC_PASS) || strcmp(s[i].command, "smtpd") != 0)
			continue;
		svc = ph_alloc(sizeof(*svc));
		svc->service = &s[i];
		svc->conf = s[i].conf;
		svc->name = s[i].name;
		if (ph_smtpd_settings_load(svc->conf, &svc->set, NULL) == 0) {
			tls_level(svc);
			tls(svc);
			p = ph_alloc(sizeof(*p));
			p->service = svc->service;
			p->ctx = svc->tls;
			p->next = prepared;
			prepared = p;
		}
		free(svc);
	}
}
