/* smtp_reply.c: what a filter wants the SMTP client to be told (SMFIR_REPLYCODE).  Pure; does not yield.  RFC 5321 section 4.2, RFC 2034. */
#include "wire.h"

#include <errno.h>
#include <string.h>

#define LINES_MAX 100

/* Length of an enhanced code "5.7.1" at p, or 0. */
static size_t dsn_length(const char *p, size_t n)
{
	size_t i = 1;

	if (n < 5 || (p[0] != '4' && p[0] != '5' && p[0] != '2'))
		return 0;
	for (int part = 0; part < 2; part++) {
		size_t digits = 0;

		if (i >= n || p[i] != '.')
			return 0;
		while (i + 1 + digits < n && p[i + 1 + digits] >= '0' && p[i + 1 + digits] <= '9')
			digits++;
		if (digits < 1 || digits > 3)
			return 0;
		i += 1 + digits;
	}
	return i == n || p[i] == ' ' || p[i] == '\t' ? i : 0;
}

/* "%%" is "%"; a single one would be a mark for somebody's printf and goes. */
static void put_text(struct ph_buf *b, const char *p, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (p[i] == '%' && (i + 1 == n || p[i + 1] != '%'))
			continue;
		if (p[i] == '%')
			i++;
		ph_buf_putc(b, p[i]);
	}
}

/* One line with the code of the first.  0 or -EBADMSG. */
static int check_line(const char *first, const char *p, size_t n, bool last)
{
	size_t dsn;

	if (n < 4 || memcmp(p, first, 3) != 0 || p[3] != (last ? ' ' : '-'))
		return -EBADMSG;
	dsn = dsn_length(p + 4, n - 4);
	return dsn && p[4] != first[0] ? -EBADMSG : 0;
}

static bool code_ok(const char *p)
{
	return (p[0] == '4' || p[0] == '5') && p[1] >= '0' && p[1] <= '9' && p[2] >= '0' && p[2] <= '9';
}

int milter_smtp_parse(const char *text, struct ph_arena *arena, struct milter_smtp *ret)
{
	struct ph_buf b = PH_BUF_INIT(64 * 1024);
	const char *p = text, *nl;
	unsigned lines = 0;
	size_t dsn = 0, n;
	int r = strlen(text) > 4 && code_ok(text) && text[4 + strspn(text + 4, " \t\r\n")] ? 0 : -EBADMSG;

	while (r == 0) {
		nl = strchr(p, '\n');
		n = nl ? (size_t)(nl - p) : strlen(p);
		if (n && p[n - 1] == '\r')
			n--;
		if (nl && !nl[1])               /* a line end at the end is not another line */
			nl = NULL;
		r = ++lines > LINES_MAX ? -EBADMSG : check_line(text, p, n, !nl);
		if (r < 0)
			break;
		if (lines == 1)
			dsn = dsn_length(p + 4, n - 4);
		if (lines > 1)
			ph_buf_putc(&b, '\n');
		put_text(&b, p + 4, n - 4);
		if (!nl)
			break;
		p = nl + 1;
	}
	if (r < 0)
		goto out;
	*ret = (struct milter_smtp){ .code = (text[0] - '0') * 100 + (text[1] - '0') * 10 + (text[2] - '0') };
	ret->verbatim = lines > 1 || !dsn || dsn >= sizeof(ret->dsn);
	p = ph_buf_str(&b);
	if (!ret->verbatim) {
		memcpy(ret->dsn, p, dsn);
		p += dsn;
		p += strspn(p, " \t");
	}
	ret->text = ph_arena_strdup(arena, p);
out:
	ph_buf_done(&b);
	return r;
}
