/* What postscreen reads: entries of its list, DNS lists of the configuration, addresses and garbage that go to the log; and reply lines of a proxy filter.  The first
 * byte chooses.  An entry that is taken must come out as it went in; what is logged must be printable. */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "smtpd/proxy.h"
#include "smtpd/screen_text.h"

static void entry(const char *text)
{
	int64_t a[PH_SCREEN_TESTS], b[PH_SCREEN_TESTS];
	char out[PH_SCREEN_ENTRY_BYTES];

	if (!ph_screen_entry_parse(text, a))
		return;
	for (int k = 0; k < PH_SCREEN_TESTS; k++)
		if (a[k] < 0)
			abort();
	ph_screen_entry_format(a, out);
	if (!ph_screen_entry_parse(out, b) || memcmp(a, b, sizeof(a)) != 0)
		abort();
}

static void site(char *text)
{
	struct ph_screen_site s;
	struct ph_err err = { 0, "" };
	unsigned char addr[4] = { 127, 0, 0, 2 };

	if (ph_screen_site_parse(text, &s, &err) < 0) {
		if (!*err.text)
			abort();
		return;
	}
	if (!*s.domain || s.weight < -1000000 || s.weight > 1000000)
		abort();
	if (s.filtered)
		(void)ph_dnslist_filter_match(&s.filter, addr);
	free(s.domain);
}

static void logged(const char *p, size_t n)
{
	struct ph_arena *a = ph_arena_new();
	const char *text = ph_screen_escaped(a, p, n);

	for (; *text; text++)
		if ((unsigned char)*text < 32 || (unsigned char)*text >= 127)
			abort();
	for (text = ph_screen_address(a, (struct ph_slice){ p, n }); *text; text++)
		if (iscntrl((unsigned char)*text))
			abort();
	ph_arena_free(&a);
}

static void reply_line(const char *p, size_t n)
{
	bool last;
	int code = ph_proxy_reply_line(p, n, &last);

	if (code > 0 && (code < 200 || code > 599))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	char *text;

	if (n == 0)
		return 0;
	text = ph_alloc(n);
	memcpy(text, data + 1, n - 1);
	text[n - 1] = '\0';
	switch (data[0] % 4) {
	case 0: entry(text); break;
	case 1: site(text); break;
	case 2: logged(text, n - 1); break;
	case 3: reply_line(text, n - 1); break;
	}
	free(text);
	return 0;
}
