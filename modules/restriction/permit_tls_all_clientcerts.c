/* permit_tls_all_clientcerts.c: accept clients with a certificate that a trusted authority has signed. */
#include "common/ccert.h"

static struct ph_verdict check(void *use, const void *settings, struct ph_session *s)
{
	const struct ph_tls_info *tls = ph_session_tls(s);

	return tls && tls->peer_verified ? ph_verdict_permit() : ph_verdict_dunno();
}

static int prepare(const struct ph_conf *conf, const void *settings, const char *arg, void **ret, struct ph_err *err)
{
	ccert_warn(conf, "permit_tls_all_clientcerts");
	*ret = NULL;
	return 0;
}

static const struct ph_restriction_ops ops = { .size = sizeof(ops), .prepare = prepare, .check = check };

PH_MODULE(PH_KIND_RESTRICTION, "permit_tls_all_clientcerts", "1.0", "accept clients with a trusted certificate", .ops.restriction = &ops);
