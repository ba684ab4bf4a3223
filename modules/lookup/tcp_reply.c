/* tcp_reply.c: see tcp_reply.h. */
#include "tcp_reply.h"

#include <ctype.h>
#include <errno.h>
#include <string.h>

int tcp_request(const char *key, struct ph_buf *out)
{
	int r = ph_buf_puts(out, "get ");

	for (; r == 0 && *key; key++) {
		unsigned char c = (unsigned char)*key;

		if (c == '%' || c <= ' ' || c >= 0x7f)
			r = ph_buf_printf(out, "%%%02X", c);
		else
			r = ph_buf_putc(out, c);
	}
	return r < 0 ? r : ph_buf_putc(out, '\n');
}

static int hex(char c)
{
	return isdigit((unsigned char)c) ? c - '0' : isxdigit((unsigned char)c) ? (c | 0x20) - 'a' + 10 : -1;
}

static bool decode(char *s)
{
	char *w = s;

	for (; *s; s++) {
		if (*s == '%') {
			if (hex(s[1]) < 0 || hex(s[2]) < 0 || (hex(s[1]) == 0 && hex(s[2]) == 0))
				return false;
			*w++ = (char)(hex(s[1]) * 16 + hex(s[2]));
			s += 2;
		} else {
			*w++ = *s;
		}
	}
	*w = '\0';
	return true;
}

int tcp_reply(char *line, enum ph_lookup *ret_status, char **ret_text)
{
	for (int i = 0; i < 3; i++)
		if (!isdigit((unsigned char)line[i]))
			return -EPROTO;
	if (!isspace((unsigned char)line[3]))
		return -EPROTO;
	switch (line[0]) {
	case '2': *ret_status = PH_LOOKUP_FOUND; break;
	case '4': *ret_status = PH_LOOKUP_TEMPFAIL; break;
	case '5': *ret_status = PH_LOOKUP_NOTFOUND; break;
	default: return -EPROTO;
	}
	*ret_text = line + 4;
	return decode(line + 4) ? 0 : -EPROTO;
}
