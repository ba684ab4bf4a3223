/* check_ccert_access.c: look the fingerprints of the client's certificate up in an access table: "type:table", or "{ type:table,
 * search_order = cert_fingerprint, pubkey_fingerprint }".  The certificate need not be trusted: its owner has shown that the key is his. */
#include <errno.h>

#include "common/access.h"

enum { CERT = 1, PUBKEY };

struct use {
	struct access_use *access;
	int order[4], n;
};

static int search_order(struct use *u, char *text, struct ph_err *err)
{
	char *w;

	u->n = 0;
	while ((w = ph_str_token(&text, PH_SEP_LIST))) {
		if (u->n == (int)PH_ARRAY_LEN(u->order))
			return ph_err_set(err, -EINVAL, "search_order: too many names");
		if (ph_str_ieq(w, "cert_fingerprint"))
			u->order[u->n++] = CERT;
		else if (ph_str_ieq(w, "pubkey_fingerprint"))
			u->order[u->n++] = PUBKEY;
		else
			return ph_err_set(err, -EINVAL, "unknown search_order element: \"%.100s\"", w);
	}
	return 0;
}

/* What follows the table: "search_order=..." or "{ search_order = ... }". */
static int options(struct use *u, char *cursor, struct ph_err *err)
{
	char *w, *text;
	int r = 0;

	while (r == 0 && (w = ph_str_token(&cursor, PH_SEP_LIST))) {
		text = ph_str_unbrace(w);
		if (strncmp(text, "search_order", 12) != 0 || text[12 + strspn(text + 12, " \t")] != '=')
			return ph_err_set(err, -EINVAL, "bad option \"%.100s\"", text);
		r = search_order(u, strchr(text, '=') + 1, err);
	}
	return r;
}

static int prepare(const struct ph_conf *conf, const void *settings, const char *arg, void **ret, struct ph_err *err)
{
	struct use *u = ph_alloc(sizeof(*u));
	char *copy = ph_strdup(arg), *cursor = ph_str_unbrace(copy), *table = ph_str_token(&cursor, PH_SEP_LIST);
	void *access = NULL;
	int r;

	u->order[0] = CERT;
	u->order[1] = PUBKEY;
	u->n = 2;
	r = table && *table != '{' ? options(u, cursor, err) : ph_err_set(err, -EINVAL, "need type:table instead of \"%.200s\"", arg);
	if (r == 0)
		r = access_prepare(conf, settings, table, &access, err);
	free(copy);
	u->access = access;
	if (r < 0)
		free(u);
	else
		*ret = u;
	return r;
}

static void release(void *use)
{
	struct use *u = use;

	access_release(u->access);
	free(u);
}

static struct ph_verdict check(void *use, const void *settings, struct ph_session *s)
{
	const struct ph_tls_info *tls = ph_session_tls(s);
	struct use *u = use;
	const char *key, *action;
	struct ph_err err = { 0, "" };
	enum ph_lookup r;

	for (int i = 0; tls && i < u->n; i++) {
		key = u->order[i] == CERT ? tls->peer_fingerprint : tls->peer_pkey_fingerprint;
		r = key ? ph_maps_find(u->access->maps, key, false, ph_session_arena(s), &action, &err) : PH_LOOKUP_NOTFOUND;
		if (r != PH_LOOKUP_NOTFOUND)
			return access_answer(u->access, s, r, action, tls->peer_cn ? tls->peer_cn : "", PH_ACCESS_CCERT, &err);
	}
	return ph_verdict_dunno();
}

static const struct ph_restriction_ops ops = { .size = sizeof(ops), .n_args = 1, .prepare = prepare, .check = check, .release = release };

PH_MODULE(PH_KIND_RESTRICTION, "check_ccert_access", "1.0", "look the client's certificate up in an access table", .ops.restriction = &ops);
