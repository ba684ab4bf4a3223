/* screen_text.c: see screen_text.h.  Pure; nothing yields. */
#include "smtpd/screen_text.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- log lines ---- */

const char *ph_screen_escaped(struct ph_arena *arena, const char *p, size_t n)
{
	struct ph_buf b = PH_BUF_INIT(600);
	const char *text;

	for (size_t i = 0; i < n && i < 100; i++) {
		unsigned char ch = (unsigned char)p[i];
		const char *known = ch ? strchr("\aa\bb\tt\nn\vv\ff\rr\\\\", ch) : NULL;

		if (known && (ch < 32 || ch == '\\'))
			ph_buf_printf(&b, "\\%c", known[1] ? known[1] : '\\');
		else if (ch < 32 || ch >= 127)
			ph_buf_printf(&b, "\\%03o", ch);
		else
			ph_buf_putc(&b, (char)ch);
	}
	text = ph_arena_strdup(arena, ph_buf_str(&b));
	ph_buf_done(&b);
	return text;
}

/* Two significant digits, at most two behind the point. */
const char *ph_screen_age(int64_t ms, char *buf, size_t bytes)
{
	char *p;

	if (ms >= 9950) {
		snprintf(buf, bytes, "%lld", (long long)((ms + 500) / 1000));
		return buf;
	}
	snprintf(buf, bytes, ms >= 995 ? "%.1f" : "%.2f", (double)ms / 1000);
	for (p = buf + strlen(buf) - 1; *p == '0'; p--)
		*p = '\0';
	if (*p == '.')
		*p = '\0';
	return buf;
}

/* "@a,@b:" in front of an address. */
static struct ph_slice without_route(struct ph_slice w)
{
	const char *colon = w.n && w.p[0] == '@' ? memchr(w.p, ':', w.n) : NULL;

	return colon ? (struct ph_slice){ colon + 1, w.n - (size_t)(colon + 1 - w.p) } : w;
}

const char *ph_screen_address(struct ph_arena *arena, struct ph_slice w)
{
	const char *text;
	char *bare;
	size_t n = 0;

	if (w.n >= 2 && w.p[0] == '<' && w.p[w.n - 1] == '>')
		w = (struct ph_slice){ w.p + 1, w.n - 2 };
	w = without_route(w);
	bare = ph_arena_alloc(arena, w.n + 1);
	for (size_t i = 0; i < w.n; i++) {
		if (w.p[i] == '\\' && i + 1 < w.n)
			i++;
		else if (w.p[i] == '"')
			continue;
		bare[n++] = w.p[i];
	}
	text = ph_str_printable(arena, bare, n, true);
	return *text ? ph_address_quote(arena, text) : text;
}

/* ---- the temporary list ---- */

bool ph_screen_entry_parse(const char *text, int64_t ret[PH_SCREEN_TESTS])
{
	int64_t stamps[PH_SCREEN_TESTS] = { 0 };
	size_t n;
	int k = 0;

	for (;; text += n + 1) {
		char number[24];

		n = strcspn(text, ";");
		if (n >= sizeof(number))
			return false;
		memcpy(number, text, n);
		number[n] = '\0';
		if (k == PH_SCREEN_TESTS || !isdigit((unsigned char)number[0]) || ph_str_int64(number, 0, INT64_MAX, &stamps[k]) < 0)
			return false;
		k++;
		if (text[n] == '\0')
			break;
	}
	if (k <= PH_SCREEN_DNSBL)
		return false;
	memcpy(ret, stamps, sizeof(stamps));
	return true;
}

void ph_screen_entry_format(const int64_t stamps[PH_SCREEN_TESTS], char buf[PH_SCREEN_ENTRY_BYTES])
{
	size_t n = 0;

	for (int k = 0; k < PH_SCREEN_TESTS; k++)
		n += (size_t)snprintf(buf + n, PH_SCREEN_ENTRY_BYTES - n, "%s%lld", k ? ";" : "", (long long)stamps[k]);
}

/* ---- DNS lists ---- */

int ph_screen_site_parse(char *text, struct ph_screen_site *ret, struct ph_err *err)
{
	struct ph_screen_site s = { 0 };
	char *star = strrchr(text, '*'), *eq;
	int64_t weight = 1;
	int r = 0;

	if (star) {
		*star = '\0';
		if (ph_str_int64(star + 1, -1000000, 1000000, &weight) < 0)
			return ph_err_set(err, -EINVAL, "postscreen_dnsbl_sites: bad weight \"%.50s\" of \"%.200s\"", star + 1, text);
	}
	eq = strchr(text, '=');
	if (eq)
		*eq++ = '\0';
	if (*text == '\0')
		return ph_err_set(err, -EINVAL, "postscreen_dnsbl_sites: an entry has no domain");
	s.weight = (int)weight;
	s.filtered = eq != NULL;
	if (eq)
		r = ph_dnslist_filter_parse(eq, &s.filter, err);
	if (r < 0)
		return r;
	s.domain = ph_strdup(text);
	*ret = s;
	return 0;
}
