/* general.c: the parameters that belong to no single component, and the process environment.
 *
 * Owns one struct ph_general_settings for each view, made on first use.  No yield.  Source: postconf(5). */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>

#include "config/private.h"
#include "config/known.h"

#define S struct ph_general_settings
static const struct ph_param params[] = {
	PH_P_STR1(S, myhostname, "myhostname", "", "the name of this host in mail"),
	PH_P_STR1(S, mydomain, "mydomain", "", "the domain of this host"),
	PH_P_STR1(S, myorigin, "myorigin", "$myhostname", "the domain that mail sent here appears to come from"),
	PH_P_STR(S, mydestination, "mydestination", "$myhostname, localhost.$mydomain, localhost", "domains delivered by local_transport"),
	PH_P_STR(S, mynetworks, "mynetworks", "", "networks of clients that may do more than strangers"),
	PH_P_STR1(S, mynetworks_style, "mynetworks_style", "${{$compatibility_level} <level {2} ? {subnet} : {host}}",
		  "how the default of mynetworks is made: host, subnet or class"),
	PH_P_STR(S, inet_interfaces, "inet_interfaces", "all", "addresses that mail is received on"),
	PH_P_STR(S, inet_protocols, "inet_protocols", "all", "IP versions in use: all, ipv4, ipv6"),
	PH_P_STR(S, proxy_interfaces, "proxy_interfaces", "", "addresses that mail is received on through a proxy or NAT"),
	PH_P_STR(S, relay_domains, "relay_domains", "${{$compatibility_level} <level {2} ? {$mydestination} : {}}",
		 "domains that mail is relayed to for strangers"),
	PH_P_STR(S, virtual_alias_domains, "virtual_alias_domains", "$virtual_alias_maps", "domains whose addresses are all aliases"),
	PH_P_STR(S, virtual_mailbox_domains, "virtual_mailbox_domains", "$virtual_mailbox_maps",
		 "domains delivered by virtual_transport"),
	PH_P_STR(S, recipient_delimiter, "recipient_delimiter", "", "characters between user name and address extension"),
	PH_P_STR(S, parent_domain_matches_subdomains, "parent_domain_matches_subdomains",
		 "debug_peer_list,fast_flush_domains,mynetworks,permit_mx_backup_networks,qmqpd_authorized_clients,relay_domains,"
		 "smtpd_access_maps", "lists in which example.com also matches its subdomains"),
	PH_P_BOOL(S, smtputf8_enable, "smtputf8_enable", "${{$compatibility_level} <level {1} ? {no} : {yes}}",
		  "internationalised mail (RFC 6531)"),
	PH_P_BOOL(S, soft_bounce, "soft_bounce", "no", "safety net: keep mail that would be returned"),
	PH_P_BOOL(S, helpful_warnings, "helpful_warnings", "yes", "log about problematic configuration"),
	PH_P_BOOL(S, respectful_logging, "respectful_logging", "${{$compatibility_level} <level {3.6} ? {no} : {yes}}",
		  "words in the log"),
	PH_P_STR(S, mail_name, "mail_name", "Posthouse", "the name of the mail system"),
	PH_P_STR(S, mail_version, "mail_version", PH_DEF_MAIL_VERSION, "the version of the mail system"),
	PH_P_STR(S, mail_release_date, "mail_release_date", "20261124", "the release date of the mail system"),
	PH_P_STR1(S, compatibility_level, "compatibility_level", "0", "defaults as of this Postfix version"),
	PH_P_STR1(S, syslog_name, "syslog_name", "${multi_instance_name?{$multi_instance_name}:{postfix}}",
		  "what stands in front of the process name in the log"),
	PH_P_STR1(S, syslog_facility, "syslog_facility", "mail", "the syslog facility"),
	PH_P_STR(S, maillog_file, "maillog_file", "", "log to this file instead of syslog"),
	PH_P_STR1(S, maillog_file_prefixes, "maillog_file_prefixes", "/var, /dev/stdout", "where maillog_file may be"),
	PH_P_STR1(S, maillog_file_permissions, "maillog_file_permissions", "0600", "access mode of a new maillog_file"),
	PH_P_STR1(S, maillog_file_compressor, "maillog_file_compressor", "gzip", "command that compresses a rotated log"),
	PH_P_STR1(S, maillog_file_rotate_suffix, "maillog_file_rotate_suffix", "%Y%m%d-%H%M%S", "strftime format of a rotated log's suffix"),
	PH_P_STR1(S, queue_directory, "queue_directory", "/var/spool/postfix", "the queue"),
	PH_P_STR1(S, data_directory, "data_directory", "/var/lib/postfix", "writable data: caches, random numbers"),
	PH_P_STR1(S, config_directory, "config_directory", PH_CONFIG_DIR, "the folder of main.cf"),
	PH_P_STR1(S, daemon_directory, "daemon_directory", PH_LIBEXEC_DIR, "support programs"),
	PH_P_STR1(S, command_directory, "command_directory", PH_SBIN_DIR, "administrative commands"),
	PH_P_STR(S, meta_directory, "meta_directory", PH_CONFIG_DIR, "files shared by instances"),
	PH_P_STR(S, sendmail_path, "sendmail_path", PH_SBIN_DIR "/sendmail", "the sendmail command"),
	PH_P_STR(S, mailq_path, "mailq_path", PH_BIN_DIR "/mailq", "the mailq command"),
	PH_P_STR(S, newaliases_path, "newaliases_path", PH_BIN_DIR "/newaliases", "the newaliases command"),
	PH_P_STR(S, alternate_config_directories, "alternate_config_directories", "", "folders that -c and MAIL_CONFIG may name"),
	PH_P_STR(S, multi_instance_name, "multi_instance_name", "", "this instance's name"),
	PH_P_STR(S, multi_instance_group, "multi_instance_group", "", "this instance's group"),
	PH_P_STR(S, multi_instance_directories, "multi_instance_directories", "", "folders of further instances"),
	PH_P_STR(S, multi_instance_wrapper, "multi_instance_wrapper", "", "command that manages instances"),
	PH_P_STR(S, postmulti_start_commands, "postmulti_start_commands", "start", "postfix(1) commands that are a check for an instance that is not enabled"),
	PH_P_STR(S, postmulti_stop_commands, "postmulti_stop_commands", "stop abort drain quick-stop", "postfix(1) commands for the last instance first"),
	PH_P_STR(S, postmulti_control_commands, "postmulti_control_commands", "reload flush", "postfix(1) commands for enabled instances only"),
	PH_P_BOOL(S, multi_instance_enable, "multi_instance_enable", "no", "allow this instance to be started"),
	PH_P_STR1(S, mail_owner, "mail_owner", "postfix", "user that owns the queue and runs the workers"),
	PH_P_STR1(S, setgid_group, "setgid_group", "postdrop", "group of the commands that submit mail and look at the queue"),
	PH_P_STR(S, known_tcp_ports, "known_tcp_ports", "lmtp=24, smtp=25, smtps=submissions=465, submission=587",
		 "names of TCP ports that are not looked up in services(5)"),
	PH_P_INT(S, tcp_windowsize, "tcp_windowsize", "0", 0, 65535, "bytes of the TCP window, for routers that break window scaling; 0: not limited"),
	PH_P_BOOL(S, idna2003, "enable_idna2003_compatibility", "no", "convert names such as fa\xc3\x9f.example as IDNA2003 did"),
	PH_P_STR1(S, default_privs, "default_privs", "nobody", "user that runs commands without a better one"),
	PH_P_STR1(S, module_directory, "module_directory", PH_MODULE_DIR, "colon-separated folders of modules"),
	PH_P_STR(S, import_environment, "import_environment", "MAIL_CONFIG MAIL_DEBUG MAIL_LOGTAG TZ XAUTHORITY DISPLAY LANG=C "
		 "POSTLOG_SERVICE POSTLOG_HOSTNAME XDG_RUNTIME_DIR", "environment that we keep or set"),
	PH_P_STR(S, export_environment, "export_environment", "TZ MAIL_CONFIG LANG", "environment that commands get"),
	PH_P_STR(S, master_service_disable, "master_service_disable", "", "services that are not started: name/type or type"),
	PH_P_STR1(S, default_database_type, "default_database_type", PH_DEF_DATABASE_TYPE, "table type of postmap and newaliases"),
	PH_P_STR1(S, default_cache_db_type, "default_cache_db_type", "lmdb", "table type of caches"),
	PH_P_INT(S, default_process_limit, "default_process_limit", PH_DEF_PROCESS_LIMIT, 1, 0, "maxproc of services that say -"),
	PH_P_INT(S, line_length_limit, "line_length_limit", "2048", 512, 0, "longest line kept in one piece"),
	PH_P_INT(S, header_size_limit, "header_size_limit", "102400", 1, 0, "longest header, in bytes"),
	PH_P_LONG(S, message_size_limit, "message_size_limit", "10240000", 0, 0, "largest message, in bytes; 0: none"),
	PH_P_LONG(S, queue_minfree, "queue_minfree", "0", 0, 0, "free bytes that the queue's file system must have to take mail"),
	PH_P_TIME(S, command_time_limit_ms, "command_time_limit", "1000s", 's', 1000, 0, "time for a command that we run"),
	PH_P_TIME(S, service_throttle_time_ms, "service_throttle_time", "60s", 's', 1000, 0, "pause before a failing service is started again"),
	/* read by several: sendmail and newaliases, local, postdrop */
	PH_P_STR(S, alias_maps, "alias_maps", "$default_database_type:/etc/aliases", "tables of local aliases"),
	PH_P_STR(S, alias_database, "alias_database", "$default_database_type:/etc/aliases", "the ones that newaliases builds"),
	PH_P_STR(S, authorized_submit_users, "authorized_submit_users", "static:anyone", "who may submit mail with sendmail"),
	PH_P_INT(S, deliver_lock_attempts, "deliver_lock_attempts", "20", 1, 0, "tries to lock a mailbox"),
	PH_P_STR(S, stress, "stress", "", "\"yes\" while the server is overloaded"),
	PH_P_BOOL(S, owner_request_special, "owner_request_special", "yes", "owner-list and list-request hold no address extension"),
};
#undef S
PH_SETTINGS_TABLE(PH_GENERAL_OWNER, params)

static int facility(const char *name)
{
	static const struct { const char *name; int code; } table[] = {
		{ "auth", LOG_AUTH }, { "authpriv", LOG_AUTHPRIV }, { "cron", LOG_CRON }, { "daemon", LOG_DAEMON },
		{ "ftp", LOG_FTP }, { "kern", LOG_KERN }, { "lpr", LOG_LPR }, { "mail", LOG_MAIL }, { "news", LOG_NEWS },
		{ "security", LOG_AUTH }, { "syslog", LOG_SYSLOG }, { "user", LOG_USER }, { "uucp", LOG_UUCP },
		{ "local0", LOG_LOCAL0 }, { "local1", LOG_LOCAL1 }, { "local2", LOG_LOCAL2 }, { "local3", LOG_LOCAL3 },
		{ "local4", LOG_LOCAL4 }, { "local5", LOG_LOCAL5 }, { "local6", LOG_LOCAL6 }, { "local7", LOG_LOCAL7 },
	};
	size_t i;

	for (i = 0; i < PH_ARRAY_LEN(table); i++) {
		if (ph_str_ieq(table[i].name, name))
			return table[i].code;
	}
	return -1;
}

/* Letters, digits, '-' and '_' in labels of 1..63; at most 255. */
static bool valid_hostname(const char *s)
{
	size_t n = 0, label = 0;

	for (; s[n]; n++) {
		if (s[n] == '.') {
			if (label == 0)
				return false;
			label = 0;
		} else if (++label > 63) {
			return false;
		} else if ((unsigned char)s[n] < 0x80 && !strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_", s[n])) {
			return false;
		}
	}
	return n <= 255 && label > 0;
}

/* The log is opened as root: only where maillog_file_prefixes allows. */
static bool maillog_allowed(const struct ph_general_settings *g)
{
	char *copy = ph_strdup(g->maillog_file_prefixes), *cursor = copy, *prefix;
	bool ok = false;
	size_t n;

	while (!ok && (prefix = ph_str_token(&cursor, PH_SEP_LIST))) {
		n = strlen(prefix);
		while (n > 0 && prefix[n - 1] == '/')
			n--;
		ok = strncmp(g->maillog_file, prefix, n) == 0 && (g->maillog_file[n] == '/' || g->maillog_file[n] == '\0');
	}
	free(copy);
	return ok && strstr(g->maillog_file, "/../") == NULL;
}

/* "0644": what the owner and others may do; nothing that could be executed, and never writable by all. */
static bool parse_mode(const char *text, unsigned *ret)
{
	char *end;
	unsigned long mode = strtoul(text, &end, 8);

	*ret = (unsigned)mode;
	return *text >= '0' && *text <= '7' && *end == '\0' && (mode & ~0664ul) == 0 && (mode & 0600) == 0600;
}

/* What a table cannot say. */
static int check_values(const struct ph_conf *conf, struct ph_general_settings *g, struct ph_err *err)
{
	struct ph_arena *a = conf->config->arena;
	const struct ph_setting *ports;
	const char *nets;

	if (!valid_hostname(g->myhostname))
		return ph_err_set(err, -EINVAL, "%s: parameter myhostname: bad parameter value: %s",
				  ph_setting_where(conf, "myhostname", a), g->myhostname);
	if (!valid_hostname(g->mydomain))
		return ph_err_set(err, -EINVAL, "%s: parameter mydomain: bad parameter value: %s",
				  ph_setting_where(conf, "mydomain", a), g->mydomain);
	if (g->myorigin[strcspn(g->myorigin, ", \t\r\n")])
		return ph_err_set(err, -EINVAL, "%s: myorigin parameter setting must not contain multiple values: %s",
				  ph_setting_where(conf, "myorigin", a), g->myorigin);
	if (*g->maillog_file && !maillog_allowed(g))
		return ph_err_set(err, -EINVAL, "%s: maillog_file \"%s\" is in none of the places that maillog_file_prefixes allows (%s)",
				  ph_setting_where(conf, "maillog_file", a), g->maillog_file, g->maillog_file_prefixes);
	if (!parse_mode(g->maillog_file_permissions, &g->maillog_mode))
		return ph_err_set(err, -EINVAL, "%s: maillog_file_permissions: not an access mode in octal: %s",
				  ph_setting_where(conf, "maillog_file_permissions", a), g->maillog_file_permissions);
	g->syslog_facility_code = facility(g->syslog_facility);
	if (g->syslog_facility_code < 0)
		return ph_err_set(err, -EINVAL, "%s: parameter syslog_facility: unrecognized value: %s",
				  ph_setting_where(conf, "syslog_facility", a), g->syslog_facility);
	if (ph_inet_protocols(g->inet_protocols, &g->ipv4, &g->ipv6) < 0)
		return ph_err_set(err, -EINVAL, "%s: unknown inet_protocols value \"%s\"; expected all, ipv4 or ipv6",
				  ph_setting_where(conf, "inet_protocols", a), g->inet_protocols);
	ports = ph_conf_setting(conf, "known_tcp_ports");
	if (ports && (conf == conf->config->main_view || ports != ph_conf_setting(conf->config->main_view, "known_tcp_ports")))
		(void)ph_known_port(g->known_tcp_ports, "", conf->config, ports);
	if (ph_conf_setting(conf, "mynetworks") == NULL)
		return ph_default_mynetworks_of(conf, &nets, err);
	return 0;
}

int ph_conf_general_check(const struct ph_conf *conf, const struct ph_general_settings **ret, struct ph_err *err)
{
	struct ph_conf *view = (struct ph_conf *)(uintptr_t)conf;
	struct ph_general_settings *g;
	int rc;

	if (conf->general) {
		*ret = conf->general;
		return 0;
	}
	g = ph_arena_alloc(conf->config->arena, sizeof(*g));
	rc = ph_conf_settings(conf, params, PH_ARRAY_LEN(params), g, err);
	if (rc == 0)
		rc = check_values(conf, g, err);
	if (rc < 0)
		return rc;
	*ret = view->general = g;
	return 0;
}

/* The load has checked the values; what can still fail is the system (no host name, no interfaces). */
const struct ph_general_settings *ph_conf_general(const struct ph_conf *conf)
{
	const struct ph_general_settings *g = NULL;
	struct ph_err err;

	if (ph_conf_general_check(conf, &g, &err) < 0) {
		ph_log(PH_LOG_FATAL, "%s", err.text);
		ph_assert(!"general settings were checked at load");
	}
	return g;
}

/* ---- environment ---- */

extern char **environ;

void ph_conf_import_environment(const struct ph_conf *conf)
{
	struct ph_arena *a = ph_arena_new();
	char *list = ph_arena_strdup(a, ph_conf_general(conf)->import_environment), *word, *eq;
	char *keep[256];
	const char *value;
	size_t i, n = 0;

	while (n < PH_ARRAY_LEN(keep) && (word = ph_str_token(&list, PH_SEP_LIST))) {
		word = ph_str_unbrace(word);
		if (strchr(word, '='))
			keep[n++] = word;
		else if ((value = getenv(word)))
			keep[n++] = ph_arena_printf(a, "%s=%s", word, value);
	}
	clearenv();
	for (i = 0; i < n; i++) {
		eq = strchr(keep[i], '=');
		*eq = '\0';
		if (*keep[i])
			setenv(keep[i], eq + 1, 1);
	}
	ph_arena_free(&a);
}

char **ph_conf_export_environment(const struct ph_conf *conf, struct ph_arena *arena)
{
	char *list = ph_arena_strdup(arena, ph_conf_general(conf)->export_environment), *word;
	char **env = ph_arena_alloc(arena, 258 * sizeof(*env));
	const char *value;
	size_t n = 0;

	env[n++] = ph_arena_strdup(arena, "PATH=/usr/bin:/bin");
	while (n < 257 && (word = ph_str_token(&list, PH_SEP_LIST))) {
		word = ph_str_unbrace(word);
		if (strchr(word, '='))
			env[n++] = word;
		else if ((value = getenv(word)))
			env[n++] = ph_arena_printf(arena, "%s=%s", word, value);
	}
	env[n] = NULL;
	return env;
}
