/* tls_error.c: OpenSSL's error queue as text.  The queue belongs to the thread, so it must be read before
 * anything yields.  No state; no yield. */
#include <stdio.h>
#include <string.h>

#include <openssl/err.h>

#include "net/tls_private.h"

/* "error:0A00010B:SSL routines::wrong version number:../ssl/record/ssl3_record.c:350:data", as ERR_print_errors writes it. */
static void put_error(char *out, size_t bytes)
{
	const char *file, *data;
	unsigned long e;
	int line, flags;
	char text[200];

	e = ERR_peek_last_error_all(&file, &line, NULL, &data, &flags);
	out[0] = '\0';
	if (e == 0)
		return;
	ERR_error_string_n(e, text, sizeof(text));
	snprintf(out, bytes, "%s:%s:%d:%s", text, file, line, flags & ERR_TXT_STRING ? data : "");
}

int ph_tls_err(struct ph_err *err, int code, const char *fmt, ...)
{
	struct ph_err scratch;
	char text[400];
	size_t used;
	va_list ap;

	if (err == NULL)
		err = &scratch;
	va_start(ap, fmt);
	vsnprintf(err->text, sizeof(err->text), fmt, ap);
	va_end(ap);
	err->code = code;
	put_error(text, sizeof(text));
	if (text[0]) {
		used = strlen(err->text);
		snprintf(err->text + used, sizeof(err->text) - used, "%s%s", used ? ": " : "", text);
	}
	ERR_clear_error();
	return code;
}
