/* private.h: what the files of core/config share: the parsed settings and the views on them. */
#ifndef CORE_CONFIG_PRIVATE_H
#define CORE_CONFIG_PRIVATE_H

#include "base/htab.h"
#include "config/config.h"
#include "config/general.h"

enum {
	PH_MAX_CONFIG_BYTES = 16 << 20, /* of one file */
	PH_MAX_VALUE_BYTES = 1 << 20,   /* of one value, as written or expanded */
	PH_MAX_NESTING = 100,           /* of $name within $name, and of ${...} within ${...} */
	PH_MAX_STEPS = 100000,          /* look-ups for one value */
	PH_MAX_SERVICES = 4096,         /* lines of master.cf */
};

/* ---- lines.c: logical lines of main.cf and master.cf ---- */
struct ph_lines {
	const char *file;               /* for messages */
	const char *p, *end;
	int line;                       /* of the next physical line */
	struct ph_buf text;             /* the logical line */
};
void ph_lines_init(struct ph_lines *l, const char *file, const char *text, size_t n);
/* The next logical line, continuation lines joined, white space at its end cut.  1, 0 at the end, negative with err.
 * *ret_text is writable and valid until the next call. */
int ph_lines_next(struct ph_lines *l, char **ret_text, int *ret_line, struct ph_err *err);
void ph_lines_done(struct ph_lines *l);

/* ---- a "name = value" of main.cf or -o ---- */
struct ph_setting {
	const char *name, *value;       /* as written */
	const char *file;
	int line;
	const char *origin;             /* "file:line" */
	const char *service;            /* -o: "smtp/inet", for messages; NULL in main.cf */
	struct ph_setting *next;        /* in the order of the file */
};
struct ph_settings {                    /* those of one file or one service */
	struct ph_htab by_name;
	struct ph_setting *first, **last;
	size_t n;
};
void ph_settings_init(struct ph_settings *s);
/* Last definition wins.  Returns (a copy of) the one that was overwritten or NULL. */
const struct ph_setting *ph_settings_set(struct ph_settings *s, struct ph_arena *a, struct ph_setting *set);
/* Split "name = value" in place.  0, or a text that says what is wrong. */
const char *ph_setting_split(char *text, char **ret_name, char **ret_value);

int ph_maincf_parse(struct ph_config *c, const char *file, const char *text, size_t n, struct ph_err *err);
int ph_mastercf_parse(struct ph_config *c, const char *file, const char *text, size_t n, struct ph_err *err);
/* A remark that does not stop the load: kept for check, logged unless PH_CONFIG_QUIET. */
void ph_config_note(struct ph_config *c, const char *file, int line, const char *fmt, ...) PH_PRINTF(4, 5);
struct ph_note { const char *file; int line; const char *text; struct ph_note *next; };

/* ---- expand.c: pure ---- */
struct ph_expand {
	/* The raw text of name or NULL.  *ret_final: do not expand it further. */
	const char *(*lookup)(void *arg, const char *name, bool *ret_final);
	void *arg;
	int steps;                      /* start at 0 */
};
int ph_expand(struct ph_expand *x, const char *text, struct ph_buf *out, struct ph_err *err);
/* Compatibility levels: "3", "3.6", "3.6.1" as one number, -EINVAL when malformed. */
int ph_parse_level(const char *s, int64_t *ret);

/* ---- refs.c: which names the values refer to ---- */
struct ph_refs {
	struct ph_arena *arena;
	struct ph_htab names, prefixes;
};
void ph_refs_main(struct ph_refs *r, const struct ph_config *c, struct ph_arena *a);
void ph_refs_text(struct ph_refs *r, const char *text, struct ph_arena *a);    /* of one value */
bool ph_refs_has(const struct ph_refs *r, const char *name);
void ph_refs_done(struct ph_refs *r);

struct ph_match;
/* Why a pattern of the list is wrong (the first such); NULL: all are good. */
const char *ph_match_problem(const struct ph_match *m);
/* Is the value that name has in conf one that p allows? */
int ph_param_check(const struct ph_conf *conf, const struct ph_param *p, const char *name, struct ph_err *err);

/* ---- params.c, known.c ---- */
enum { PH_KNOWN_RAW = 1 /* not expanded */, PH_KNOWN_OLD = 2 /* obsolete: nothing unless it is set */, PH_KNOWN_COMPUTED = 4 };
struct ph_known { const char *name, *def; unsigned flags; };
const struct ph_known *ph_known_find(const char *name);
const struct ph_known *ph_known_all(size_t *n);
/* The default of "<service>_<suffix>" for one of the per-transport templates ("$default_..."), else NULL. */
const char *ph_template_default(const char *name, size_t *ret_service_bytes);
const char *const *ph_template_suffixes(void);  /* pairs: suffix, default; NULL-terminated */
bool ph_param_is_raw(const char *name);
bool ph_default_is_computed(const char *name);
/* Index the tables that announced themselves; idempotent. */
void ph_params_init(void);

#define PH_GENERAL_OWNER "core"
/* Declarations of a name that differ in type or default from the one that counts. */
size_t ph_param_conflicts(void (*report)(void *arg, const char *owner, const struct ph_param *p, const struct ph_param *first), void *arg);
/* The whole file, at most ret's bound; again when it changes while it is read. */
int ph_config_read_file(const char *path, struct ph_buf *ret, struct ph_err *err);
/* As ph_param_find, without templates. */
const struct ph_param *ph_param_exact(const char *name);
/* The text of the default, unexpanded; NULL: there is none.  computed values come out final. */
const char *ph_conf_default(const struct ph_conf *conf, const char *name);

/* ---- functional.c: defaults that are computed; text in arena ---- */
#define PH_DEFAULT_DOMAIN "localdomain"
const char *ph_default_myhostname(const struct ph_conf *conf, struct ph_arena *a);
const char *ph_default_mydomain(const struct ph_conf *conf, struct ph_arena *a);
int ph_default_mynetworks(const char *style, const char *interfaces, const char *protocols, struct ph_arena *a,
			  const char **ret, struct ph_err *err);

int ph_default_mynetworks_of(const struct ph_conf *conf, const char **ret, struct ph_err *err);

/* ---- views ---- */
struct ph_attached {
	const char *key;
	void *obj;
	void (*fn)(void *);
	struct ph_attached *next;
};
struct ph_conf {
	struct ph_config *config;
	const struct ph_conf *base;     /* NULL: main.cf itself */
	const char *service, *process;
	char **words;                   /* of the service's line in master.cf (struct ph_service.argv); NULL: not the view of a service itself */
	struct ph_settings overrides;
	struct ph_htab values;          /* expanded texts so far */
	struct ph_attached *attached;   /* newest first */
	struct ph_htab attached_by_key;
	const struct ph_general_settings *general;
	unsigned computing;             /* defaults that are being worked out: bits of params.c */
	struct ph_conf *next;           /* all views of the generation, newest first */
};
struct ph_conf *ph_conf_new(struct ph_config *c, const struct ph_conf *base, const char *service, const char *process);
/* The setting that name has in this view; NULL: default. */
const struct ph_setting *ph_conf_setting(const struct ph_conf *conf, const char *name);
/* As ph_conf_get, but a value that cannot be expanded is an error: 1 and *ret, 0 unknown, negative. */
int ph_conf_value(const struct ph_conf *conf, const char *name, const char **ret, struct ph_err *err);
/* The unexpanded text: set or default; NULL unknown. */
const char *ph_conf_raw(const struct ph_conf *conf, const char *name, bool *ret_final);

/* Leave out the services that master_service_disable names. */
void ph_config_drop_disabled(struct ph_config *c);

struct ph_config {
	struct ph_arena *arena;
	const char *dir;
	unsigned flags;
	const char *main_file, *master_file;
	struct ph_settings main;
	struct ph_service *services;
	size_t n_services;
	struct ph_conf *main_view;
	struct ph_conf *views;
	struct ph_note *notes, **last_note;
};

/* "file, line n" of a setting, or "default of name", for messages. */
const char *ph_setting_where(const struct ph_conf *conf, const char *name, struct ph_arena *a);
/* ---- check.c ---- */
/* Left out, it would make the system less safe than the administrator believes. */
bool ph_check_guards(const char *name);
/* Any value is as good as another. */
bool ph_check_means_nothing(const char *name);

/* The port of name in list (known_tcp_ports); 0: it is not there.  Entries that read wrong count for nothing, and are noted in c where set (the setting;
 * may be NULL) stands. */
int ph_known_port(const char *list, const char *name, struct ph_config *c, const struct ph_setting *set);
#endif
