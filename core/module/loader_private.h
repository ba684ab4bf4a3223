/* loader_private.h: what loader.c lends to scan.c. */
#ifndef CORE_MODULE_LOADER_PRIVATE_H
#define CORE_MODULE_LOADER_PRIVATE_H

#include <posthouse/module.h>

/* The search path with the environment's part; the caller frees it. */
char *ph_loader_path(void);
/* Open and check without calling init; remembered if it passes.  NULL with err. */
const struct ph_module *ph_loader_open_file(unsigned kind, const char *name, const char *path, struct ph_err *err);
const struct ph_module *ph_loader_open_static(const struct ph_module *m, struct ph_err *err);
#endif
