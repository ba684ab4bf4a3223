/* err.c: struct ph_err and failed assertions.  No state; nothing here yields. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <posthouse/base.h>
#include "base/log.h"

static void err_mark_cut(struct ph_err *err, int need)
{
	if (need >= (int)sizeof(err->text))
		memcpy(err->text + sizeof(err->text) - 4, "...", 4);
}

int ph_err_set(struct ph_err *err, int code, const char *fmt, ...)
{
	va_list ap;

	if (err == NULL)
		return code;
	err->code = code;
	va_start(ap, fmt);
	err_mark_cut(err, vsnprintf(err->text, sizeof(err->text), fmt, ap));
	va_end(ap);
	return code;
}

int ph_err_errno(struct ph_err *err, int code, const char *fmt, ...)
{
	char why[128];
	size_t used;
	va_list ap;

	if (err == NULL)
		return code;
	err->code = code;
	va_start(ap, fmt);
	err_mark_cut(err, vsnprintf(err->text, sizeof(err->text), fmt, ap));
	va_end(ap);
	used = strlen(err->text);
	err_mark_cut(err, (int)used + snprintf(err->text + used, sizeof(err->text) - used, ": %s",
					       strerror_r(-code, why, sizeof(why))));
	return code;
}

void ph_assert_failed(const char *expr, const char *file, int line, const char *func)
{
	const char *base = strrchr(file, '/');

	ph_log(PH_LOG_PANIC, "%s:%d: %s: assertion failed: %s", base ? base + 1 : file, line, func, expr);
	ph_log_flush();
	abort();
}
