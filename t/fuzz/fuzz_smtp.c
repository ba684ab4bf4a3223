/* fuzz_smtp.c: everything of the SMTP server that takes bytes of strangers apart: command lines, parameters, AUTH data, PROXY headers,
 * and the paths of MAIL and RCPT. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "route/route.h"
#include "smtpd/cmdline.h"
#include "smtpd/haproxy.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void one_word(struct ph_arena *a, const struct ph_smtpd_word *w)
{
	struct ph_slice s = w->text, bad;
	const char *address, *rest;
	struct ph_err err;
	int64_t n;

	ph_assert(w->text.n > 0);
	(void)ph_smtpd_number(s, &n);
	(void)ph_smtpd_xtext_decode(s, ph_arena_alloc(a, s.n + 1));
	(void)ph_smtpd_notify_parse(s, &bad);
	(void)ph_base64_decode(s, ph_arena_alloc(a, s.n / 4 * 3 + 4));
	if (ph_address_parse_path(s.p, s.n, true, a, &address, &rest, &err) == 0) {
		ph_assert(rest >= s.p && rest <= s.p + s.n);
		ph_assert(!strpbrk(address, "\r\n"));
		(void)ph_address_quote(a, address);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct ph_arena *a;
	struct ph_smtpd_cmdline c;
	struct ph_proxy_info info;
	const char *why;
	ssize_t used;
	int64_t n;
	bool last;

	if (size > 4096)
		return 0;
	a = ph_arena_new();
	ph_smtpd_cmdline_split(&c, (const char *)data, size);
	for (size_t i = 0; i < c.n; i++)
		one_word(a, &c.w[i]);
	(void)ph_smtpd_bdat_parse(&c, &n, &last);
	used = ph_proxy_parse((struct ph_slice){ (const char *)data, size }, &info, &why);
	ph_assert(used <= (ssize_t)size);
	ph_arena_free(&a);
	return 0;
}
