/* check.c: what is wrong or without effect in a configuration: "postfix check", "posthouse check" and every start.
 *
 * Each parameter that is set must be declared by a component of ours (then its value must be good), or known to Postfix and
 * harmless to leave out, or used by the administrator's own $name.  What could make the system less safe than
 * the administrator believes stops the start.  Loads every installed module's descriptor; no yield. */
#include <ctype.h>
#include <string.h>

#include "config/private.h"
#include "module/loader.h"
#include <posthouse/lookup.h>

struct check {
	const struct ph_config *c;
	ph_config_report_fn *report;
	void *arg;
	int errors;
	struct ph_refs refs;
	struct ph_arena *arena;
};

static void say(struct check *k, int severity, const struct ph_setting *set, const char *text)
{
	k->errors += severity == PH_CHECK_ERROR;
	k->report(k->arg, severity, set ? set->file : NULL, set ? set->line : 0, text);
}

/* ---- parameters without an owner ---- */

/* Left out, they would let through what they were meant to stop, or send in clear what was meant to be secret. */
bool ph_check_guards(const char *name)
{
	static const char *const prefixes[] = {
		"smtpd_sasl_", "smtp_sasl_", "lmtp_sasl_", "authorized_", "smtpd_authorized_", "smtpd_forbid", "smtpd_reject_unlisted",
		"milter_", "postscreen_access_list", "postscreen_dnsbl_", "smtpd_relay_", "permit_mx_backup_networks",
		"proxy_read_maps_", "local_header_rewrite_clients",
	};
	static const char *const names[] = {
		"smtpd_tls_req_ccert", "smtpd_tls_ask_ccert", "smtpd_tls_auth_only", "smtpd_tls_security_level", "smtpd_enforce_tls",
		"smtpd_use_tls", "smtpd_tls_wrappermode", "smtpd_tls_mandatory_protocols", "smtpd_tls_mandatory_ciphers", "smtpd_tls_protocols",
		"smtp_tls_security_level", "smtp_enforce_tls", "smtp_use_tls", "smtp_tls_policy_maps", "smtp_tls_per_site",
		"smtp_tls_mandatory_protocols", "smtp_tls_mandatory_ciphers", "smtp_tls_wrappermode", "smtp_tls_enforce_peername",
		"lmtp_tls_security_level", "lmtp_enforce_tls", "lmtp_use_tls", "lmtp_tls_policy_maps", "lmtp_tls_wrappermode",
		"smtpd_milters", "smtpd_milter_maps", "non_smtpd_milters", "content_filter", "smtpd_proxy_filter",
		"header_checks", "mime_header_checks", "nested_header_checks", "body_checks", "smtp_header_checks", "smtp_body_checks",
		"message_reject_characters", "smtpd_sender_login_maps", "local_login_sender_maps", "relay_clientcerts", "check_ccert_access",
		"smtpd_command_filter", "smtpd_dns_reply_filter", "smtp_dns_reply_filter", "strict_rfc821_envelopes",
		"mynetworks", "relay_domains", "relay_recipient_maps", "local_recipient_maps", "smtpd_helo_required", "disable_vrfy_command",
		"qmqpd_authorized_clients", "smtpd_upstream_proxy_protocol", "allow_mail_to_commands", "allow_mail_to_files",
		"virtual_minimum_uid", "strict_mailbox_ownership", "command_expansion_filter", "forward_expansion_filter",
	};
	size_t i, n = strlen(name);

	if (strcmp(name, "smtp_sasl_path") == 0 || strcmp(name, "lmtp_sasl_path") == 0)
		return false;           /* for a back end of mechanisms: ours are built in, and Cyrus's does not look at it either */
	for (i = 0; i < PH_ARRAY_LEN(prefixes); i++) {
		if (strncmp(name, prefixes[i], strlen(prefixes[i])) == 0)
			return true;
	}
	for (i = 0; i < PH_ARRAY_LEN(names); i++) {
		if (strcmp(name, names[i]) == 0)
			return true;
	}
	return strncmp(name, "smtpd_", 6) == 0 && n > 13 && strcmp(name + n - 13, "_restrictions") == 0;
}

/* They only tell where things are, or speak of processes that we do not have: any value is as good as another. */
bool ph_check_means_nothing(const char *name)
{
	static const char *const names[] = {
		"biff", "readme_directory", "html_directory", "manpage_directory", "sample_directory", "shlib_directory", "debugger_command",
		"mail_release_date", "application_event_drain_time", "ipc_idle", "ipc_ttl", "max_use", "max_idle", "fork_attempts",
		"fork_delay", "process_id_directory", "berkeley_db_create_buffer_size", "berkeley_db_read_buffer_size", "qmgr_fudge_factor",
		"dns_ncache_ttl_fix_enable",    /* for a libc whose resolver keeps negative answers to itself */
	};
	size_t i;

	for (i = 0; i < PH_ARRAY_LEN(names); i++) {
		if (strcmp(name, names[i]) == 0)
			return true;
	}
	return false;
}

static bool same_as_default(const struct ph_conf *view, const struct ph_setting *set, const char *def)
{
	struct ph_arena *a;
	const char *value, *want;
	struct ph_err err;
	bool same;

	if (strcmp(set->value, def) == 0)
		return true;
	if (ph_conf_value(view, set->name, &value, &err) <= 0)
		return false;
	a = ph_arena_new();
	want = ph_conf_expand(view, a, def, &err);
	same = want && ph_str_ieq(want, value);
	ph_arena_free(&a);
	return same;
}

/* Is an old name still read where the default of a parameter that has an effect says so ("${postscreen_blacklist_action?...")? */
static bool in_a_default(const char *name)
{
	size_t n, len = strlen(name), i;
	const struct ph_known *known = ph_known_all(&n);

	for (i = 0; i < n; i++) {
		const char *p = known[i].def;

		while (p && (p = strstr(p, name)) != NULL) {
			bool macro = p > known[i].def && (p[-1] == '$' || p[-1] == '{');

			p += len;
			if (macro && !isalnum((unsigned char)*p) && *p != '_' && ph_param_find(known[i].name))
				return true;
		}
	}
	return false;
}

static void check_unowned(struct check *k, const struct ph_conf *view, const struct ph_setting *set, const char *def)
{
	if (ph_check_means_nothing(set->name) || same_as_default(view, set, def))
		return;
	if (ph_check_guards(set->name))
		say(k, PH_CHECK_ERROR, set, ph_arena_printf(k->arena, "parameter %s is not supported, and the system would be less safe "
			"without it; remove it if you can do without", set->name));
	else
		say(k, PH_CHECK_WARNING, set, ph_arena_printf(k->arena, "parameter %s is not supported and has no effect", set->name));
}

/* "<service>_destination_recipient_limit" works when what it falls back to does. */
static bool check_template(struct check *k, const struct ph_setting *set)
{
	size_t n, i;
	const char *def = ph_template_default(set->name, &n);
	const struct ph_known *known = ph_known_find(set->name);

	if (def == NULL || (known && (known->flags & PH_KNOWN_OLD)))    /* extract_recipient_limit */
		return false;
	for (i = 0; i < k->c->n_services; i++) {
		if (strncmp(k->c->services[i].name, set->name, n) == 0 && k->c->services[i].name[n] == '\0')
			break;
	}
	if (i == k->c->n_services && known == NULL)
		return false;
	if (ph_param_find(set->name) == NULL && ph_param_find(def + 1) == NULL)
		say(k, PH_CHECK_WARNING, set, ph_arena_printf(k->arena, "parameter %s is not supported and has no effect", set->name));
	return true;
}

static void check_setting(struct check *k, const struct ph_conf *view, const struct ph_setting *set)
{
	const struct ph_param *p = ph_param_find(set->name);
	const struct ph_known *known = ph_known_find(set->name);
	struct ph_err err;

	if (p) {
		if (ph_param_check(view, p, set->name, &err) < 0)
			say(k, PH_CHECK_ERROR, NULL, ph_arena_strdup(k->arena, err.text));
	} else if (check_template(k, set)) {
		return;
	} else if (known) {
		/* A name without effect of its own may still serve as $name. */
		if (!(known->flags & PH_KNOWN_COMPUTED) && !ph_htab_get(&k->refs.names, set->name) && !in_a_default(set->name))
			check_unowned(k, view, set, known->def);
	} else if (!ph_refs_has(&k->refs, set->name)) {
		say(k, PH_CHECK_WARNING, set, ph_arena_printf(k->arena, "unused parameter: %s=%s", set->name, set->value));
	}
}

/* ---- values that need a closer look ---- */

static void check_networks(struct check *k, const struct ph_conf *view)
{
	const struct ph_setting *set = ph_conf_setting(view, "mynetworks");
	const char *value, *problem;
	struct ph_match *m;

	if (set == NULL || (value = ph_conf_get(view, "mynetworks")) == NULL)
		return;
	m = ph_match_open(view, "mynetworks", value, PH_MATCH_DOMAIN | PH_MATCH_ADDR);
	problem = ph_match_problem(m);
	if (problem)
		say(k, PH_CHECK_ERROR, set, ph_arena_printf(k->arena, "mynetworks: %s", problem));
	if (strstr(value, "0.0.0.0/0") || strstr(value, "[::]/0"))
		say(k, PH_CHECK_WARNING, set, "mynetworks holds the whole Internet: everybody may relay mail through this system");
}

/* ---- services ---- */

static void check_service(struct check *k, const struct ph_service *s)
{
	const struct ph_setting *set;

	for (set = s->conf->overrides.first; set; set = set->next)
		check_setting(k, s->conf, set);
	if (ph_htab_get(&s->conf->overrides.by_name, "mynetworks"))
		check_networks(k, s->conf);
}

/* ---- all of it ---- */

static void load_modules(struct check *k)
{
	struct ph_module_info *all;
	size_t i, n;

	ph_modules_configure(k->c->main_view);
	n = ph_modules_scan(k->arena, &all);
	for (i = 0; i < n; i++) {
		if (all[i].module)
			ph_param_declare_module(all[i].module->params, all[i].module->n_params);
		else
			k->report(k->arg, PH_CHECK_WARNING, NULL, 0, all[i].why);
	}
}

int ph_config_check(const struct ph_config *c, ph_config_report_fn *report, void *arg)
{
	struct check k = { .c = c, .report = report, .arg = arg };
	const struct ph_setting *set;
	const struct ph_note *note;
	size_t i;

	k.arena = ph_arena_new();
	load_modules(&k);
	ph_refs_main(&k.refs, c, k.arena);
	for (note = c->notes; note; note = note->next)
		report(arg, PH_CHECK_WARNING, note->file, note->line, note->text);
	for (set = c->main.first; set; set = set->next)
		check_setting(&k, c->main_view, set);
	check_networks(&k, c->main_view);
	for (i = 0; i < c->n_services; i++)
		check_service(&k, &c->services[i]);
	ph_refs_done(&k.refs);
	ph_arena_free(&k.arena);
	return k.errors;
}
