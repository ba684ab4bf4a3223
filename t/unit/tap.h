/* tap.h: the few lines of TAP output that the unit tests need. */
#ifndef T_UNIT_TAP_H
#define T_UNIT_TAP_H

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

static int tap_count, tap_failed;

__attribute__((format(printf, 4, 5)))
static inline bool tap_result(bool ok, const char *file, int line, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	printf("%sok %d - ", ok ? "" : "not ", ++tap_count);
	vprintf(fmt, ap);
	printf("\n");
	va_end(ap);
	if (!ok) {
		tap_failed++;
		printf("# failed at %s:%d\n", file, line);
	}
	fflush(stdout);
	return ok;
}

static inline bool tap_streq(const char *got, const char *want, const char *file, int line, const char *name)
{
	bool ok = got == want || (got && want && strcmp(got, want) == 0);

	tap_result(ok, file, line, "%s", name);
	if (!ok)
		printf("# got  %s\n# want %s\n", got ? got : "(null)", want ? want : "(null)");
	return ok;
}

#define tap_ok(cond, ...) tap_result((cond), __FILE__, __LINE__, __VA_ARGS__)
#define tap_is(got, want, name) tap_streq((got), (want), __FILE__, __LINE__, (name))

static inline int tap_done(void)
{
	printf("1..%d\n", tap_count);
	return tap_failed != 0;
}

#endif
