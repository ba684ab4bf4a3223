/* postconf.h: what the parts of postconf share.  One run is one struct pc; nothing yields. */
#ifndef CMD_POSTCONF_H
#define CMD_POSTCONF_H

#include "config/private.h"

enum {  /* struct pc.show */
	PC_FOLD = 1, PC_HIDE_NAME = 2, PC_HIDE_VALUE = 4, PC_EXPAND = 8, PC_JSON = 16, PC_DEFAULTS = 32, PC_SET_ONLY = 64,
};
enum { PC_BUILTIN = 1, PC_SERVICE = 2, PC_USER = 4, PC_ALL = 7 };       /* classes of parameters */
enum pc_edit { PC_READ, PC_CHANGE /* -e */, PC_COMMENT /* -# */, PC_REMOVE /* -X */ };

struct pc {
	const char *dir;
	bool dir_given;                 /* -c or MAIL_CONFIG: config_directory counts as set */
	unsigned show, classes;
	char **override;                /* "name=value" of -o */
	int n_override;
	struct ph_config *c;
	const struct ph_conf *conf;
	struct ph_refs refs;
	struct ph_arena *arena;         /* of the whole run */
};

/* Logs and exits with status 1. */
void pc_fatal(const char *fmt, ...) PH_PRINTF(1, 2) __attribute__((noreturn));
/* Read the configuration: main.cf (unless defaults are asked for) and master.cf (if it is there). */
void pc_load(struct pc *pc);
/* "name = value", folded or not, or as JSON, as pc->show says. */
void pc_print(const struct pc *pc, const char *name, const char *value);
/* Expand text in view; exits when it cannot be (file: where text stands). */
const char *pc_expand(struct pc *pc, const struct ph_conf *view, const char *file, const char *text);
/* A "name = value" argument, split in place. */
void pc_split(struct pc *pc, char *arg, char **ret_name, char **ret_value);

/* ---- postconf_param.c: main.cf ---- */
void pc_show_params(struct pc *pc, char **names, int n);
/* Warnings about settings of master.cf, and of main.cf, that nobody uses. */
void pc_warn_unused(struct pc *pc, bool main_too);
/* Warnings about $name of names that nobody defines. */
void pc_warn_undefined(struct pc *pc);

/* ---- postconf_master.c: master.cf ---- */
void pc_show_services(struct pc *pc, char **requests, int n);           /* -M */
void pc_show_fields(struct pc *pc, char **requests, int n);             /* -F */
void pc_show_overrides(struct pc *pc, char **requests, int n);          /* -P */
/* The entry as a line (or lines, with PC_FOLD), without the final newline. */
void pc_format_service(unsigned show, const struct ph_service *s, struct ph_buf *ret);
enum { PC_N_FIELDS = 8 };
extern const char *const pc_fields[PC_N_FIELDS];
/* A request "service/type/third": "*" for what is left out. */
struct pc_request {
	const char *text;
	const char *service, *type, *third;
	bool matched;
};
/* max: 2 or 3 parts; option: for the message. */
void pc_parse_request(struct pc *pc, const char *text, int max, const char *option, struct pc_request *ret);
bool pc_request_fits(struct pc_request *r, const struct ph_service *s);

/* ---- postconf_edit.c ---- */
void pc_edit_params(struct pc *pc, enum pc_edit edit, char **args, int n);
void pc_edit_services(struct pc *pc, enum pc_edit edit, char **args, int n);    /* -Me, -M#, -MX */
void pc_edit_fields(struct pc *pc, char **args, int n);                         /* -Fe */
void pc_edit_overrides(struct pc *pc, enum pc_edit edit, char **args, int n);   /* -Pe, -PX */

/* ---- postconf_list.c: -a -A -b -l -m -t -T ---- */
void pc_list(struct pc *pc, int what, char **args, int n);

#endif
