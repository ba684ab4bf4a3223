/* permit_tls_clientcerts.c: accept clients whose certificate's fingerprint (or its public key's) is in relay_clientcerts. */
#include "common/ccert.h"

struct settings { const char *maps; };
static const struct ph_param params[] = {
	PH_P_STR(struct settings, maps, "relay_clientcerts", "", "tables of fingerprints of client certificates that may relay"),
};

static int prepare(const struct ph_conf *conf, const void *settings, const char *arg, void **ret, struct ph_err *err)
{
	const struct settings *set = settings;

	ccert_warn(conf, "permit_tls_clientcerts");
	*ret = *set->maps ? ph_maps_open(conf, "relay_clientcerts", set->maps) : NULL;
	return 0;
}

static struct ph_verdict check(void *use, const void *settings, struct ph_session *s)
{
	const struct ph_tls_info *tls = ph_session_tls(s);
	const char *keys[] = { tls ? tls->peer_fingerprint : NULL, tls ? tls->peer_pkey_fingerprint : NULL }, *value, *what;
	struct ph_err err = { 0, "" };

	for (size_t i = 0; use && i < PH_ARRAY_LEN(keys); i++) {
		switch (keys[i] ? ph_maps_find(use, keys[i], false, ph_session_arena(s), &value, &err) : PH_LOOKUP_NOTFOUND) {
		case PH_LOOKUP_FOUND:
			return ph_verdict_permit();
		case PH_LOOKUP_NOTFOUND:
			break;
		case PH_LOOKUP_TEMPFAIL:
		case PH_LOOKUP_PERMERR:
			ph_session_list(s, &what);
			return ph_verdict_lookup_failed(s, PH_LOOKUP_TEMPFAIL, what, &err);
		}
	}
	return ph_verdict_dunno();
}

static const struct ph_restriction_ops ops = { .size = sizeof(ops), .prepare = prepare, .check = check };

PH_MODULE(PH_KIND_RESTRICTION, "permit_tls_clientcerts", "1.0", "accept clients whose certificate is in relay_clientcerts",
	  PH_MODULE_PARAMS(params, struct settings), .ops.restriction = &ops);
