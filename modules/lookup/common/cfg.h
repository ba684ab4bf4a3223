/* cfg.h: settings of a table that talks to a server: "name = value" lines in the file that the table is named after
 * ("redis:/etc/x.cf"), or main.cf parameters "<name>_<setting>" ("redis:x").  And the %-expansion that such tables share. */
#ifndef LOOKUP_COMMON_CFG_H
#define LOOKUP_COMMON_CFG_H

#include <posthouse/lookup.h>

struct lcfg;

/* 0 and *ret, or negative with err.  Does not yield. */
int lcfg_open(const struct ph_table_spec *spec, struct lcfg **ret, struct ph_err *err);
/* The value of a setting, or def.  Lives as long as c. */
const char *lcfg_str(struct lcfg *c, const char *name, const char *def);
/* A number within min..max; a time in ms ("2s", bare numbers are seconds).  Negative with err when it is neither. */
int lcfg_int(struct lcfg *c, const char *name, int def, int min, int max, int *ret, struct ph_err *err);
int lcfg_ms(struct lcfg *c, const char *name, int64_t def_ms, int64_t *ret, struct ph_err *err);
int lcfg_bool(struct lcfg *c, const char *name, bool def, bool *ret, struct ph_err *err);     /* yes or no, any case */
/* Names that the table knows but this use of it has no need of: not to be warned about. */
void lcfg_known(struct lcfg *c, const char *const *names, size_t n);
/* Log the lines of the file that nobody has asked for. */
void lcfg_warn_unused(struct lcfg *c);
void lcfg_free(struct lcfg **c);        /* NULL-safe */
/* For struct ph_lookup_ops.path: the file of settings; with main.cf parameters there is none to watch. */
const char *lcfg_path(const struct ph_table_spec *spec, struct ph_arena *arena);

/* Expand format: %s the text, %u its local part, %d its domain, %%; %S %U %D the same of the look-up key; %1..%9 labels of the
 * key's domain from the right.  false: a part is not there (no domain ...): no look-up, no result; true and appended
 * to out.  -ENOBUFS of out counts as false. */
bool lcfg_expand(const char *format, const char *text, const char *key, struct ph_buf *out);
/* The same of the key, each part as quote writes it (0, or negative: the part cannot be written; *ret_failed tells that from a missing one). */
typedef int lcfg_quote_fn(void *ctx, const char *part, size_t n, struct ph_buf *out);
bool lcfg_expand_quoted(const char *format, const char *key, lcfg_quote_fn *quote, void *ctx, struct ph_buf *out, bool *ret_failed);
/* Is every % of format followed by one of those letters?  0 or -EINVAL with err. */
int lcfg_check_format(const char *name, const char *format, struct ph_err *err);
#endif
