/* config.h: a configuration generation: main.cf and master.cf as they were read, and the view of each service.
 *
 * Reading is pure parsing plus file reads; nothing yields.  A generation is immutable once loaded.  Sources: postconf(5),
 * master(5). */
#ifndef CORE_CONFIG_CONFIG_H
#define CORE_CONFIG_CONFIG_H

#include <posthouse/lookup.h>
#include <stdio.h>

struct ph_config;               /* a generation; owns everything below */

enum ph_service_type { PH_SVC_INET, PH_SVC_UNIX, PH_SVC_FIFO, PH_SVC_PASS, PH_SVC_UNIX_DGRAM };

/* A logical line of master.cf. */
struct ph_service {
	const char *name;               /* "smtp", "127.0.0.1:2525" */
	enum ph_service_type type;
	bool is_private, unpriv, chroot;        /* defaults filled in */
	int wakeup_s;                   /* 0: none */
	bool wakeup_if_used;            /* '?' */
	int maxproc;                    /* 0: no limit; "-" is default_process_limit */
	const char *command;            /* "smtpd", "pipe": the program's base name */
	char **argv;                    /* words behind the command without -o, -v, -D; braces removed; NULL-terminated */
	int argc;
	char **words;                   /* all words behind the command, "-o" and "name=value" as two; NULL-terminated */
	int verbose;                    /* number of -v */
	const char *file; int line;     /* where it stands */
	const struct ph_conf *conf;     /* main.cf as this service sees it */
	const char *raw_fields[8];      /* the columns as written ("-"), command in [7] */
};

/* Load DIR/main.cf and DIR/master.cf.  0 and *ret, or negative with err: "file, line n: what; what to do".  Warnings (unused
 * -o, duplicate ...) go to the log.  flags: */
enum { PH_CONFIG_NO_MASTER = 1 /* main.cf only (postmap, sendmail) */, PH_CONFIG_QUIET = 2,
       PH_CONFIG_NO_VERIFY = 4 /* values that cannot be expanded are accepted (postconf) */,
       PH_CONFIG_KEEP_ALL = 8 /* of two services with one name and type keep both (postconf) */ };
int ph_config_load(const char *dir, unsigned flags, struct ph_config **ret, struct ph_err *err);
/* A generation from text in memory (tests, fuzzing). */
int ph_config_parse(const char *main_text, const char *master_text, struct ph_config **ret, struct ph_err *err);
/* For postconf: no main.cf is read; and read DIR/master.cf into a generation that was loaded without. */
struct ph_config *ph_config_empty(const char *dir, unsigned flags);
int ph_config_add_master(struct ph_config *c, struct ph_err *err);
void ph_config_free(struct ph_config **c);

const char *ph_config_dir(const struct ph_config *c);
/* main.cf without any service's overrides; process_name/service_name are prog. */
const struct ph_conf *ph_config_main(const struct ph_config *c);
const struct ph_service *ph_config_services(const struct ph_config *c, size_t *n);
/* NULL: there is none.  A fifo line counts as unix where there is no such one: older master.cf files have pickup and qmgr so. */
const struct ph_service *ph_config_service(const struct ph_config *c, const char *name, enum ph_service_type type);
/* A further view: base plus overrides (a session-specific or cleanup-service view).  Lives as long as base. */
const struct ph_conf *ph_conf_derive(const struct ph_conf *base, const char *const *names, const char *const *values, size_t n);
/* What a view is based on: the view it was derived from, main.cf's for a service; NULL for main.cf's. */
const struct ph_conf *ph_conf_base(const struct ph_conf *conf);
const struct ph_config *ph_conf_config(const struct ph_conf *conf);
/* What is wrong, or set without effect.  report is called for each finding: severity PH_CHECK_*; file NULL when text names the place
 * itself; line 0: the whole file.  Returns the number of PH_CHECK_ERRORs: more than 0 stops a start.  Loads the descriptors of all modules on
 * module_directory. */
enum { PH_CHECK_WARNING = PH_LOG_WARNING, PH_CHECK_ERROR = PH_LOG_ERROR };
typedef void ph_config_report_fn(void *arg, int severity, const char *file, int line, const char *text);
int ph_config_check(const struct ph_config *c, ph_config_report_fn *report, void *arg);
/* An object that lives and dies with the view (maps, match lists, resolver contexts): kept under key; freed by fn at the end. */
void *ph_conf_attach_get(const struct ph_conf *conf, const char *key);
void ph_conf_attach_set(const struct ph_conf *conf, const char *key, void *obj, void (*fn)(void *));

/* Each table of the core announces itself once, before ph_config_load: PH_SETTINGS_TABLE at file scope. */
struct ph_param_table { const char *owner; const struct ph_param *params; size_t n; struct ph_param_table *next; };
void ph_param_table_add(struct ph_param_table *t);
const struct ph_param_table *ph_param_tables(void);     /* the first; modules' tables are there once loaded or scanned */
#define PH_SETTINGS_TABLE(owner_, table_) \
	__attribute__((constructor)) static void ph_register_##table_(void) \
	{ static struct ph_param_table t = { owner_, table_, PH_ARRAY_LEN(table_), NULL }; ph_param_table_add(&t); }
/* The declaration of a parameter or NULL; service templates ("<transport>_destination_concurrency_limit") included. */
const struct ph_param *ph_param_find(const char *name);
/* A parameter with a per-service name and a fall-back: the value of "<service>_<suffix>", else of fallback, as text.  Never NULL for
 * declared fallbacks.  Example: ("smtp", "destination_concurrency_limit", "default_destination_concurrency_limit"). */
const char *ph_conf_service_param(const struct ph_conf *conf, const char *service, const char *suffix, const char *fallback);
/* A module's table, when the module is loaded; names that are declared already keep their declaration. */
void ph_param_declare_module(const struct ph_param *params, size_t n);
/* "inet", "unix" ... */
const char *ph_service_type_name(enum ph_service_type type);
/* Each answer of a match list, for explanations.  pattern: what decided, NULL: none.  name, address: what was asked for, may be NULL.  NULL: off. */
typedef void ph_match_trace_fn(const char *title, const char *name, const char *address, const char *pattern, enum ph_lookup status);
void ph_match_set_trace(ph_match_trace_fn *fn);
/* Parse values as main.cf would. */
int ph_parse_bool(const char *s, bool *ret);
int ph_parse_time(const char *s, char default_unit, int64_t *ret_ms);
#endif
