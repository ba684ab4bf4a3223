/* cmdline.c: taking SMTP command lines and their parameters apart.  Pure.  RFC 5321 4.1.1, RFC 3461 4, RFC 3030 2. */
#include "smtpd/cmdline.h"

#include <errno.h>
#include <posthouse/delivery.h>
#include <string.h>
#include <strings.h>

bool ph_smtpd_slice_ieq(struct ph_slice s, const char *word)
{
	size_t n = strlen(word);

	return s.n == n && strncasecmp(s.p, word, n) == 0;
}

bool ph_smtpd_slice_istarts(struct ph_slice s, const char *prefix)
{
	size_t n = strlen(prefix);

	return s.n >= n && strncasecmp(s.p, prefix, n) == 0;
}

/* p stands on '<'; returns the place behind the '>', or NULL when there is none. */
static const char *skip_address(const char *p, const char *end)
{
	bool quoted = false;
	int open = 1;

	for (p++; p < end; p++) {
		switch (*p) {
		case '\\':
			if (++p == end)
				return NULL;
			break;
		case '"':
			quoted = !quoted;
			break;
		case '<':
			open += !quoted;
			break;
		case '>':
			if (!quoted && --open == 0)
				return p + 1;
			break;
		case '\0':
			return NULL;
		}
	}
	return NULL;
}

/* p stands on '"'; returns the place behind the closing one, or NULL. */
static const char *skip_quoted(const char *p, const char *end)
{
	for (p++; p < end; p++) {
		if (*p == '"')
			return p + 1;
		if (*p == '\0' || (*p == '\\' && ++p == end))
			return NULL;
	}
	return NULL;
}

static const char *next_word(const char *p, const char *end, struct ph_smtpd_word *w)
{
	const char *q;

	w->kind = PH_SMTPD_WORD_OTHER;
	w->text.p = p;
	while (p < end && !ph_smtpd_space((unsigned char)*p)) {
		q = p + 1;
		if (*p == '<') {
			w->kind = PH_SMTPD_WORD_ADDR;
			q = skip_address(p, end);
		} else if (*p == '"') {
			q = skip_quoted(p, end);
		} else if (*p == '\\') {
			q = p + 2 <= end ? p + 2 : NULL;
		} else if (*p == '\0') {
			q = NULL;
		}
		if (!q) {
			w->kind = PH_SMTPD_WORD_ERROR;
			q = end;
		}
		p = q;
	}
	w->text.n = (size_t)(p - w->text.p);
	return p;
}

void ph_smtpd_cmdline_split(struct ph_smtpd_cmdline *c, const char *line, size_t n)
{
	const char *p = line, *end = line + n;
	struct ph_smtpd_word *w;

	c->n = 0;
	c->overflow = false;
	for (;;) {
		while (p < end && ph_smtpd_space((unsigned char)*p))
			p++;
		if (p == end)
			return;
		if (c->n == PH_SMTPD_WORDS_MAX) {
			c->overflow = true;
			return;
		}
		w = &c->w[c->n++];
		/* The path may follow "FROM:" or "TO:" without a space: the colon of the second word ends it. */
		if (c->n == 2) {
			struct ph_slice rest = { p, (size_t)(end - p) };

			w->kind = PH_SMTPD_WORD_OTHER;
			w->text.p = p;
			w->text.n = ph_smtpd_slice_istarts(rest, "from:") ? 5 : ph_smtpd_slice_istarts(rest, "to:") ? 3 : 0;
			p += w->text.n;
			if (w->text.n)
				continue;
		}
		p = next_word(p, end, w);
	}
}

int ph_smtpd_number(struct ph_slice s, int64_t *ret)
{
	int64_t v = 0;
	size_t i;

	if (s.n == 0)
		return -EINVAL;
	for (i = 0; i < s.n; i++)
		if (s.p[i] < '0' || s.p[i] > '9')
			return -EINVAL;
	for (i = 0; i < s.n; i++) {
		int digit = s.p[i] - '0';

		if (v > (INT64_MAX - digit) / 10)
			return -ERANGE;
		v = v * 10 + digit;
	}
	*ret = v;
	return 0;
}

static int hex_value(int c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return -1;
}

ssize_t ph_smtpd_xtext_decode(struct ph_slice s, char *out)
{
	size_t i, n = 0;
	int c, hi, lo;

	for (i = 0; i < s.n; i++) {
		c = (unsigned char)s.p[i];
		if (c == '+') {
			if (s.n - i < 3)
				return -EINVAL;
			hi = hex_value(s.p[i + 1]);
			lo = hex_value(s.p[i + 2]);
			if (hi < 0 || lo < 0)
				return -EINVAL;
			c = hi * 16 + lo;
			i += 2;
		} else if (c == '=') {
			return -EINVAL;
		}
		if (c < 32 || c == 127)
			return -EINVAL;
		out[n++] = (char)c;
	}
	out[n] = '\0';
	return (ssize_t)n;
}

int ph_smtpd_notify_parse(struct ph_slice s, struct ph_slice *ret_bad)
{
	static const struct {
		const char *word;
		int bit;
	} words[] = {
		{ "NEVER", PH_NOTIFY_NEVER },
		{ "SUCCESS", PH_NOTIFY_SUCCESS },
		{ "FAILURE", PH_NOTIFY_FAILURE },
		{ "DELAY", PH_NOTIFY_DELAY },
	};
	const char *p = s.p, *end = s.p + s.n, *comma;
	struct ph_slice w;
	int mask = 0;
	size_t i;

	ret_bad->p = NULL;
	ret_bad->n = 0;
	if (s.n == 0)
		return -EINVAL;
	for (;;) {
		comma = memchr(p, ',', (size_t)(end - p));
		w.p = p;
		w.n = (size_t)((comma ? comma : end) - p);
		for (i = 0; i < PH_ARRAY_LEN(words); i++)
			if (ph_smtpd_slice_ieq(w, words[i].word))
				break;
		if (i == PH_ARRAY_LEN(words)) {
			*ret_bad = w;
			return -EINVAL;
		}
		if (mask & words[i].bit)
			return -EINVAL;
		mask |= words[i].bit;
		if (!comma)
			break;
		p = comma + 1;
	}
	if ((mask & PH_NOTIFY_NEVER) && mask != PH_NOTIFY_NEVER)
		return -EINVAL;
	return mask;
}

int ph_smtpd_bdat_parse(const struct ph_smtpd_cmdline *c, int64_t *ret_bytes, bool *ret_last)
{
	if (c->n < 2 || c->n > 3 || ph_smtpd_number(c->w[1].text, ret_bytes) < 0)
		return -EINVAL;
	if (c->n == 3 && !ph_smtpd_slice_ieq(c->w[2].text, "LAST"))
		return -EINVAL;
	*ret_last = c->n == 3;
	return 0;
}
