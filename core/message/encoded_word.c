/* encoded_word.c: see encoded_word.h.  RFC 2047 sections 2, 4 and 5. */
#include "message/encoded_word.h"

#include <errno.h>
#include <string.h>

#define WORD_MAX 75
#define FRAME 7                 /* =?, ?q?, ?= */
#define CHAR_MAX_Q 12           /* four bytes of one character, each as =XX */

static bool is_token(const char *s)
{
	for (; *s; s++)
		if ((unsigned char)*s <= ' ' || (unsigned char)*s >= 127 || strchr("()<>@,;:\\\"/[]?.=", *s))
			return false;
	return true;
}

/* What may stand for itself in a phrase (section 5, rule 3), but for the two that mean something. */
static bool is_plain(unsigned char c)
{
	return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c && strchr("!*+-/", c));
}

static size_t q_bytes(const char *p, size_t n)
{
	size_t sum = 0;

	for (size_t i = 0; i < n; i++)
		sum += is_plain((unsigned char)p[i]) || p[i] == ' ' ? 1 : 3;
	return sum;
}

static void put_q(const char *p, size_t n, struct ph_buf *out)
{
	for (size_t i = 0; i < n; i++) {
		unsigned char c = (unsigned char)p[i];

		if (is_plain(c))
			ph_buf_putc(out, c);
		else if (c == ' ')
			ph_buf_putc(out, '_');
		else
			ph_buf_printf(out, "=%02X", c);
	}
}

static void put_base64(const char *p, size_t n, struct ph_buf *out)
{
	char text[WORD_MAX + 8];

	ph_base64_encode((struct ph_slice){ p, n }, text);
	ph_buf_puts(out, text);
}

/* Bytes of the character that p begins with: whole sequences of UTF-8 only where they are some. */
static size_t char_bytes(const char *p, bool utf8)
{
	size_t n = 1;

	while (utf8 && n < 4 && ((unsigned char)p[n] & 0xc0) == 0x80)
		n++;
	return n;
}

/* As many characters as one word has room for. */
static size_t piece(const char *p, bool utf8, bool q, size_t room)
{
	size_t n = 0, c;

	for (; p[n]; n += c) {
		c = char_bytes(p + n, utf8);
		if (q ? q_bytes(p, n + c) > room : (n + c + 2) / 3 * 4 > room)
			break;
	}
	return n;
}

int ph_encoded_words(const char *charset, const char *text, struct ph_buf *out)
{
	size_t n = strlen(charset), room, len = strlen(text);
	bool utf8 = ph_str_ieq(charset, "utf-8"), q;
	const char *p = text;

	if (!n || n + FRAME + CHAR_MAX_Q > WORD_MAX || !is_token(charset))
		return -EINVAL;
	room = WORD_MAX - FRAME - n;
	q = q_bytes(text, len) <= room || q_bytes(text, len) <= (len + 2) / 3 * 4;
	while (*p) {
		n = piece(p, utf8, q, room);
		if (p > text)
			ph_buf_puts(out, "\n ");
		ph_buf_printf(out, "=?%s?%c?", charset, q ? 'q' : 'b');
		(q ? put_q : put_base64)(p, n, out);
		if (ph_buf_puts(out, "?=") < 0)
			return -ENOBUFS;
		p += n;
	}
	return 0;
}
