/* general.h: the parameters that belong to no single component. */
#ifndef CORE_CONFIG_GENERAL_H
#define CORE_CONFIG_GENERAL_H

#include <posthouse/param.h>

struct ph_general_settings {
	/* who and where we are */
	const char *myhostname, *mydomain, *myorigin, *mydestination, *mynetworks, *mynetworks_style;
	const char *inet_interfaces, *inet_protocols, *proxy_interfaces;
	bool ipv4, ipv6;                /* inet_protocols, parsed */
	const char *relay_domains, *virtual_alias_domains, *virtual_mailbox_domains;
	const char *recipient_delimiter, *parent_domain_matches_subdomains;
	bool smtputf8_enable, soft_bounce, helpful_warnings, respectful_logging;
	/* names */
	const char *mail_name, *mail_version, *mail_release_date, *compatibility_level;
	const char *syslog_name, *syslog_facility, *maillog_file, *maillog_file_prefixes, *maillog_file_permissions;
	const char *maillog_file_compressor, *maillog_file_rotate_suffix;
	int syslog_facility_code;       /* LOG_MAIL ... */
	unsigned maillog_mode;          /* maillog_file_permissions, parsed */
	/* files and users */
	const char *queue_directory, *data_directory, *config_directory, *daemon_directory, *command_directory, *meta_directory;
	const char *sendmail_path, *mailq_path, *newaliases_path;
	const char *alternate_config_directories, *multi_instance_name, *multi_instance_group, *multi_instance_directories;
	const char *multi_instance_wrapper, *postmulti_start_commands, *postmulti_stop_commands, *postmulti_control_commands;
	bool multi_instance_enable;
	const char *mail_owner, *setgid_group, *default_privs;
	const char *module_directory;   /* ours: search path of modules */
	const char *import_environment, *export_environment;
	const char *master_service_disable;
	/* tables */
	const char *default_database_type, *default_cache_db_type;
	/* limits of processes and messages that several components keep */
	int default_process_limit, line_length_limit, header_size_limit;
	int64_t message_size_limit, queue_minfree;
	int64_t command_time_limit_ms, service_throttle_time_ms;
	const char *stress;
	/* network */
	const char *known_tcp_ports;
	int tcp_windowsize;             /* bytes of socket buffers; 0: the kernel's business */
	bool idna2003;                  /* enable_idna2003_compatibility */
	/* local mail */
	const char *alias_maps, *alias_database, *authorized_submit_users;
	int deliver_lock_attempts;
	/* debugging */
	bool owner_request_special;
};

/* Of this view: checked when the configuration was loaded, computed on first use, lives as long as conf.  Does not yield. */
const struct ph_general_settings *ph_conf_general(const struct ph_conf *conf);
/* The same with an error: 0 and *ret, or negative. */
int ph_conf_general_check(const struct ph_conf *conf, const struct ph_general_settings **ret, struct ph_err *err);

/* "all", "ipv4", "ipv6", both in a list.  0 or -EINVAL. */
int ph_inet_protocols(const char *text, bool *ret_ipv4, bool *ret_ipv6);

/* Leave in this process's environment only what import_environment names, and set what it sets ("NAME=value"). */
void ph_conf_import_environment(const struct ph_conf *conf);
/* The environment for a command that we run, from export_environment: NULL-terminated, in arena. */
char **ph_conf_export_environment(const struct ph_conf *conf, struct ph_arena *arena);

#endif
