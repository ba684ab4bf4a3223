/* What comes from outside into the restrictions' parsers: answers of policy servers (whole, and byte by byte: both ways must agree), values for a policy
 * request (one value stays one line), reply filters of DNS lists, entries of the address verification cache. */
#include <stdlib.h>
#include <string.h>

#include <posthouse/dns.h>

#include "../../modules/restriction/common/policy_proto.h"
#include "queue/verify.h"

static void reply(const char *p, size_t n)
{
	struct ph_slice whole = { NULL, 0 }, part = { NULL, 0 };
	struct ph_err err;
	size_t used = 0, used_part = 0;
	int r = policy_reply(p, n, &whole, &used, &err), q = 0;

	if (r == 1 && (whole.n == 0 || whole.p < p || whole.p + whole.n > p + used || used > n || memchr(whole.p, '\n', whole.n)))
		abort();
	for (size_t i = 0; i <= n && q == 0; i++)
		q = policy_reply(p, i, &part, &used_part, &err);
	if (r == 1 && q == 1 && (used != used_part || whole.n != part.n))
		abort();
	if (r == 1 && q != 1)
		abort();
}

static void request(const char *text)
{
	struct ph_buf b = PH_BUF_INIT(64 * 1024);
	size_t lines = 0;

	policy_put(&b, "sender", text);
	policy_put_xtext(&b, "ccert_subject", text);
	for (size_t i = 0; i < b.len; i++)
		lines += b.data[i] == '\n';
	if (lines > 2)
		abort();
	ph_buf_done(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	char *text = ph_strndup((const char *)data, n < 4096 ? n : 4096);
	static const unsigned char addr[4] = { 127, 0, 0, 2 };
	struct ph_dnslist_filter f;
	struct ph_verify_entry e;
	struct ph_err err;

	if (n < 20000)
		reply((const char *)data, n);
	request(text);
	if (ph_dnslist_filter_parse(text, &f, &err) == 0)
		ph_dnslist_filter_match(&f, addr);
	if (ph_verify_parse(text, &e) == 0 && (e.text < text || e.text > text + strlen(text)))
		abort();
	free(text);
	return 0;
}
