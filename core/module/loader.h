/* loader.h: modules by kind and name, through libltdl along module_directory (a colon-separated search path) or from the table
 * of statically linked ones.  Loaded on first use, resident for the life of the process.  Does not yield. */
#ifndef CORE_MODULE_LOADER_H
#define CORE_MODULE_LOADER_H

#include <posthouse/module.h>

/* Before the first load; path: colon-separated absolute or relative folders; NULL: the compiled-in one.  The environment
 * variable PH_MODULE_PATH goes before it (not in set-id programs). */
void ph_modules_init(const char *search_path);
/* The same with conf's module_directory. */
void ph_modules_configure(const struct ph_conf *conf);
/* The module, or NULL with err: not found (-ENOENT), or refused (-EPROTO: which field, ours and theirs; or what its init
 * said).  Names may hold letters, digits, '_' and '-' only (-EINVAL). */
const struct ph_module *ph_module_load(enum ph_module_kind kind, const char *name, struct ph_err *err);
/* The settings block of module for conf: filled once per conf and module.  NULL (and err set) on a bad value; never NULL for a
 * module without parameters. */
const void *ph_module_settings(const struct ph_module *m, const struct ph_conf *conf, struct ph_err *err);
/* The file that m came from; "(built in)" for a statically linked one. */
const char *ph_module_path(const struct ph_module *m);
const char *ph_module_kind_name(unsigned kind);         /* "lookup" ...; "?" */

/* For "posthouse modules" and postconf: every module file on the path, sorted, loaded (without its init) or refused; then the
 * built-in ones.  Registers their parameters (ph_param_find). */
struct ph_module_info {
	const char *path;
	const char *kind, *name;                /* from the file's name */
	const struct ph_module *module;         /* NULL: refused */
	const char *why;                        /* why refused */
};
size_t ph_modules_scan(struct ph_arena *arena, struct ph_module_info **ret);
/* Statically linked modules (fuzzers, static programs), NULL-terminated. */
extern const struct ph_module *const ph_static_modules[] __attribute__((weak));
/* Counters per module, for metrics: calls, time, temporary failures. */
struct ph_module_stats { uint64_t calls, ns, tempfails; };
struct ph_module_stats *ph_module_stats(const struct ph_module *m);
/* Each module that this process has loaded, for metrics: fn(arg, m). */
void ph_modules_each(void (*fn)(void *arg, const struct ph_module *m), void *arg);
/* At the end of the process: call each fini. */
void ph_modules_done(void);

/* For tests: check and normalise a descriptor as if it had been loaded from path.  NULL with err when it is refused.  The result is
 * a copy of today's size (ops too): what an older, smaller one lacks is zero. */
const struct ph_module *ph_module_check(const struct ph_module *theirs, enum ph_module_kind kind, const char *name,
					const char *path, struct ph_err *err);
#endif
