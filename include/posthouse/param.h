/* posthouse/param.h: main.cf parameters, each declared once.
 *
 * A component (of the core or a module) declares a plain struct for its settings and a table that says for each
 * field: name, type, default, range and help.  The core fills the struct for each configuration and service; the
 * parser, postconf, "posthouse check" and the manual pages read the same table. */
#ifndef POSTHOUSE_PARAM_H
#define POSTHOUSE_PARAM_H

#include <posthouse/base.h>

#ifdef __cplusplus
extern "C" {
#endif

enum ph_param_type {
	PH_PARAM_STR,           /* const char *: $name expanded, never NULL */
	PH_PARAM_RAW,           /* const char *: as written, no expansion (reply texts with $client_address ...) */
	PH_PARAM_BOOL,          /* bool: yes or no, any case */
	PH_PARAM_INT,           /* int: within min..max */
	PH_PARAM_LONG,          /* int64_t: within min..max */
	PH_PARAM_TIME,          /* int64_t milliseconds; a number with s m h d w, unit without suffix in .time_unit */
};

struct ph_param {
	const char *name;       /* as in main.cf; "%s_suffix" is a template over services, see PH_PARAM_PER_SERVICE */
	enum ph_param_type type;
	const char *def;        /* default as it would be written in main.cf; may hold $name and ${...} */
	size_t offset;          /* of the field in the settings struct */
	int64_t min, max;       /* INT, LONG; TIME in ms; STR and RAW: length in bytes.  max 0: no upper bound */
	char time_unit;         /* TIME: 's' (default), 'm', 'h', 'd', 'w' */
	const char *help;       /* one line */
};

/* Table entries.  S: settings struct, f: field, n: name, d: default, h: help. */
#define PH_P_STR(S, f, n, d, h) { n, PH_PARAM_STR, d, offsetof(S, f), 0, 0, 0, h }
#define PH_P_STR1(S, f, n, d, h) { n, PH_PARAM_STR, d, offsetof(S, f), 1, 0, 0, h }   /* must not be empty */
#define PH_P_RAW(S, f, n, d, h) { n, PH_PARAM_RAW, d, offsetof(S, f), 0, 0, 0, h }
#define PH_P_BOOL(S, f, n, d, h) { n, PH_PARAM_BOOL, d, offsetof(S, f), 0, 0, 0, h }
#define PH_P_INT(S, f, n, d, lo, hi, h) { n, PH_PARAM_INT, d, offsetof(S, f), lo, hi, 0, h }
#define PH_P_LONG(S, f, n, d, lo, hi, h) { n, PH_PARAM_LONG, d, offsetof(S, f), lo, hi, 0, h }
#define PH_P_TIME(S, f, n, d, unit, lo, hi, h) { n, PH_PARAM_TIME, d, offsetof(S, f), lo, hi, unit, h }

/* A configuration as one master.cf service sees it (main.cf, the service's -o overrides, defaults).
 * Owned by the core; lives as long as the configuration generation. */
struct ph_conf;

/* The expanded value of any parameter, known or user-defined; NULL when it is neither set nor known.  Lives as long as conf. */
PH_API const char *ph_conf_get(const struct ph_conf *conf, const char *name);
/* The service's name in master.cf ("smtp"), and the compatibility level as major * 1000 + minor. */
PH_API const char *ph_conf_service(const struct ph_conf *conf);
PH_API int ph_conf_compatibility(const struct ph_conf *conf);
/* The words behind the service's command in master.cf, without its options ("user=vmail", "argv=/bin/x" ...), braces around a word removed.
 * NULL-terminated, never NULL itself; lives as long as conf.  Since 1.1. */
PH_API const char *const *ph_conf_service_words(const struct ph_conf *conf);
/* A TCP port: a number, or a name of known_tcp_ports or services(5).  0: neither.  Reads a file, so not for the hot path.  Since 1.1. */
PH_API int ph_conf_tcp_port(const struct ph_conf *conf, const char *text);
/* smtputf8_enable: keys of tables and addresses are UTF-8, and folded as such (conf NULL, or where it is not declared: yes).  Since 1.1. */
PH_API bool ph_conf_utf8(const struct ph_conf *conf);
/* Expand $name, ${name?x}, ... in text against conf.  Result in arena; NULL and err on a syntax error. */
PH_API char *ph_conf_expand(const struct ph_conf *conf, struct ph_arena *arena, const char *text, struct ph_err *err);
/* A time as main.cf writes it ("10s", "5m", "1h", "2d", "1w"; without a suffix in default_unit).  0, or -EINVAL, -ERANGE. */
PH_API int ph_conf_time(const char *text, char default_unit, int64_t *ret_ms);
/* "file:line" where name was set for this service; "default" or NULL (unknown) otherwise. */
PH_API const char *ph_conf_origin(const struct ph_conf *conf, const char *name);
/* Fill settings (of the struct that table's offsets mean) from conf.  0, or negative with err naming file, line,
 * parameter, and what is wrong.  Strings in it live as long as conf. */
PH_API int ph_conf_settings(const struct ph_conf *conf, const struct ph_param *table, size_t n, void *settings,
			    struct ph_err *err);

#ifdef __cplusplus
}
#endif
#endif
