/* tls_error.c: OpenSSL's error queue as text.  The queue belongs to the thread, so it must be read before
 * anything yields.  No state; no yield. */
#include <stdio.h>
#include <string.h>

#include <openssl/err.h>

#include "net/tls_private.h"

int ph_tls_err(struct ph_err *err, int code, const char *fmt, ...)
{
	unsigned long e = ERR_peek_last_error();
	struct ph_err scratch;
	char text[200];
	size_t used;
	va_list ap;

	if (err == NULL)
		err = &scratch;
	va_start(ap, fmt);
	vsnprintf(err->text, sizeof(err->text), fmt, ap);
	va_end(ap);
	err->code = code;
	if (e) {
		used = strlen(err->text);
		ERR_error_string_n(e, text, sizeof(text));
		snprintf(err->text + used, sizeof(err->text) - used, "%s%s", used ? ": " : "", text);
	}
	ERR_clear_error();
	return code;
}
