/* loader.h: modules by kind and name, through libltdl along module_directory (a colon-separated search path) or from the table
 * of statically linked ones.  Loaded on first use, resident for the life of the process.  Does not yield. */
#ifndef CORE_MODULE_LOADER_H
#define CORE_MODULE_LOADER_H

#include <posthouse/module.h>

/* Before the first load; path: colon-separated folders. */
void ph_modules_init(const char *search_path);
/* The module, or NULL with err: not found (-ENOENT), or refused (-EPROTO: which field, ours and theirs). */
const struct ph_module *ph_module_load(enum ph_module_kind kind, const char *name, struct ph_err *err);
/* The settings block of module for conf: filled once per conf and module.  NULL (and err set) on a bad value. */
const void *ph_module_settings(const struct ph_module *m, const struct ph_conf *conf, struct ph_err *err);
/* For "posthouse modules" and postconf: every module file on the path, loaded or refused. */
struct ph_module_info { const char *path; const struct ph_module *module /* NULL: refused */; const char *why; };
size_t ph_modules_scan(struct ph_arena *arena, struct ph_module_info **ret);
/* All main.cf parameters that installed modules own, for postconf; file is not executed beyond its descriptor. */
struct ph_static_module { const struct ph_module *module; };
extern const struct ph_module *const ph_static_modules[] __attribute__((weak));    /* NULL-terminated */
/* Counters per module and operation, for metrics: calls, time, temporary failures. */
struct ph_module_stats { uint64_t calls, ns, tempfails; };
struct ph_module_stats *ph_module_stats(const struct ph_module *m);
#endif
