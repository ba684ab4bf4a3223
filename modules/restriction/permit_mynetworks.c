/* permit_mynetworks.c: accept clients whose address is in mynetworks.  Names never count: their owner says what they are. */
#include <posthouse/module.h>
#include <posthouse/restriction.h>

static int prepare(const struct ph_conf *conf, const void *settings, const char *arg, void **ret, struct ph_err *err)
{
	const char *text = ph_conf_get(conf, "mynetworks");

	*ret = text && *text ? ph_match_open(conf, "mynetworks", text, PH_MATCH_ADDR) : NULL;
	return 0;
}

static struct ph_verdict check(void *use, const void *settings, struct ph_session *s)
{
	const char *addr = ph_session_client_addr(s), *what;
	struct ph_err err = { 0, "" };

	switch (use ? ph_match_find(use, addr, addr, &err) : PH_LOOKUP_NOTFOUND) {
	case PH_LOOKUP_FOUND:
		return ph_verdict_permit();
	case PH_LOOKUP_NOTFOUND:
		return ph_verdict_dunno();
	case PH_LOOKUP_TEMPFAIL:
	case PH_LOOKUP_PERMERR:
		break;
	}
	ph_session_list(s, &what);
	return ph_verdict_lookup_failed(s, PH_LOOKUP_TEMPFAIL, what, &err);
}

static const struct ph_restriction_ops ops = { .size = sizeof(ops), .prepare = prepare, .check = check };

PH_MODULE(PH_KIND_RESTRICTION, "permit_mynetworks", "1.0", "accept clients in mynetworks", .ops.restriction = &ops);
