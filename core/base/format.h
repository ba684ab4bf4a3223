/* format.h: snprintf for the hot path. */
#ifndef PH_BASE_FORMAT_H
#define PH_BASE_FORMAT_H

#include <posthouse/base.h>

/* As snprintf and vsnprintf, to the byte and to the result.  Any thread. */
int ph_snprintf(char *p, size_t size, const char *fmt, ...) PH_PRINTF(3, 4);
int ph_vsnprintf(char *p, size_t size, const char *fmt, va_list ap) PH_PRINTF(3, 0);

#endif
