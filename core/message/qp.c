/* qp.c: see qp.h. */
#include "message/qp.h"

#define QP_COLUMNS 72                   /* soft line breaks come after this many characters */

void ph_qp_encode(const char *p, size_t n, bool more, void (*put)(void *arg, const char *line, size_t n), void *arg)
{
	static const char hex[] = "0123456789ABCDEF";
	char out[QP_COLUMNS + 8];
	size_t len = 0, i;

	for (i = 0; i < n; i++) {
		unsigned char c = (unsigned char)p[i];
		bool plain = c != '=' && c < 127 && (c > ' ' || ((c == ' ' || c == '\t') && i + 1 < n));

		if (len > QP_COLUMNS) {
			out[len++] = '=';
			put(arg, out, len);
			len = 0;
		}
		if (plain) {
			out[len++] = (char)c;
		} else {
			out[len++] = '=';
			out[len++] = hex[c >> 4];
			out[len++] = hex[c & 15];
		}
	}
	if (more)
		out[len++] = '=';
	put(arg, out, len);
}
