/* dsn.c: parameters of delivery status notifications as they go out: xtext (RFC 3461 section 4) and addresses of type utf-8 (RFC 6533 section 3).
 * Pure. */
#include "smtp.h"

#include <string.h>
#include <strings.h>

void smtp_put_xtext(struct ph_buf *b, const char *s)
{
	for (; *s; s++) {
		if (*s <= ' ' || *s >= 0x7f || *s == '+' || *s == '=')
			ph_buf_printf(b, "+%02X", (unsigned char)*s);
		else
			ph_buf_putc(b, *s);
	}
}

/* The character at s: its bytes; 0: it is not UTF-8. */
static size_t utf8_char(const char *s, uint32_t *ret)
{
	unsigned char first = (unsigned char)*s;
	size_t n = first < 0x80 ? 1 : first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : first >= 0xc0 ? 2 : 0, i;
	uint32_t c = n == 1 ? first : first & (0x7fu >> n);

	for (i = 1; i < n; i++) {
		if (((unsigned char)s[i] & 0xc0) != 0x80)
			return 0;
		c = c << 6 | ((unsigned char)s[i] & 0x3f);
	}
	*ret = c;
	return n;
}

/* "\x{E9}" at p, as RFC 6533 embeds a character: its bytes; 0: it is something else. */
static size_t embedded_char(const char *p)
{
	size_t n = strncmp(p, "\\x{", 3) == 0 ? strspn(p + 3, "0123456789ABCDEFabcdef") : 0;

	return n > 0 && n <= 6 && p[3 + n] == '}' ? n + 4 : 0;
}

/* An address of type utf-8.  raw: the server takes UTF-8 in commands.  Else each character that xtext has no place for is embedded; what came in that
 * form stays.  RFC 6533 section 3. */
static void put_utf8_address(struct ph_buf *b, const char *s, bool raw)
{
	uint32_t c;
	size_t n;

	while (*s) {
		n = embedded_char(s);
		if (n == 0 && (unsigned char)*s > ' ' && (unsigned char)*s < 0x7f && *s != '+' && *s != '=' && *s != '\\')
			n = 1;
		if (n == 0) {
			n = utf8_char(s, &c);
			if (n == 0 || !raw || c < 0x80)
				ph_buf_printf(b, "\\x{%02X}", n ? c : (unsigned char)*s);
			else
				ph_buf_append(b, s, n);
			s += n ? n : 1;
			continue;
		}
		ph_buf_append(b, s, n);
		s += n;
	}
}

void smtp_put_orcpt(struct ph_buf *b, const char *type, const char *text, bool raw)
{
	ph_buf_printf(b, " ORCPT=%s", type);
	if (strncasecmp(*type ? type : text, "utf-8;", 6) != 0) {
		smtp_put_xtext(b, text);
		return;
	}
	if (!*type) {
		ph_buf_append(b, text, 6);
		text += 6;
	}
	put_utf8_address(b, text, raw);
}
