/* verdict.c: what modules answer with (posthouse/restriction.h).  Does not yield. */
#include <stdio.h>
#include <string.h>

#include "smtpd/session.h"

struct ph_verdict ph_verdict_dunno(void)
{
	return (struct ph_verdict){ .cls = PH_DUNNO };
}

struct ph_verdict ph_verdict_permit(void)
{
	return (struct ph_verdict){ .cls = PH_PERMIT };
}

PH_PRINTF(6, 0)
static struct ph_verdict make(struct ph_session *s, enum ph_verdict_class cls, int code, const char *dsn, bool complete, const char *fmt,
			      va_list ap)
{
	struct ph_verdict v = { .cls = cls, .code = code, .complete = complete };
	struct ph_buf b = PH_BUF_INIT(4096);

	snprintf(v.dsn, sizeof(v.dsn), "%s", dsn ? dsn : "");
	if (ph_buf_vprintf(&b, fmt, ap) < 0)
		ph_buf_puts(&b, "Access denied");
	v.text = ph_arena_strdup(ph_session_arena(s), ph_buf_str(&b));
	ph_buf_done(&b);
	return v;
}

struct ph_verdict ph_verdict_reject(struct ph_session *s, int code, const char *dsn, const char *fmt, ...)
{
	struct ph_verdict v;
	va_list ap;

	va_start(ap, fmt);
	v = make(s, PH_REJECT, code, dsn, false, fmt, ap);
	va_end(ap);
	return v;
}

struct ph_verdict ph_verdict_defer(struct ph_session *s, int code, const char *dsn, const char *fmt, ...)
{
	struct ph_verdict v;
	va_list ap;

	va_start(ap, fmt);
	v = make(s, PH_DEFER, code, dsn, false, fmt, ap);
	va_end(ap);
	return v;
}

struct ph_verdict ph_verdict_text(struct ph_session *s, enum ph_verdict_class cls, int code, const char *dsn, const char *fmt, ...)
{
	struct ph_verdict v;
	va_list ap;

	va_start(ap, fmt);
	v = make(s, cls, code, dsn, true, fmt, ap);
	va_end(ap);
	return v;
}

struct ph_verdict ph_verdict_lookup_failed(struct ph_session *s, enum ph_lookup status, const char *what, const struct ph_err *err)
{
	if (err && err->text[0])
		ph_log(PH_LOG_WARNING, "%s", err->text);
	if (status == PH_LOOKUP_PERMERR)
		return ph_verdict_text(s, PH_DEFER, 451, "4.3.5", "Server configuration error");
	return ph_verdict_text(s, PH_DEFER, 451, "4.3.0", "<%s>: Temporary lookup failure", what);
}
