/* settings.c: the settings of an ldap table.  Owns the lists of attributes.  Does not yield.  Source: ldap_table(5). */
#include "ldap.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

static int read_attrs(struct ldapt *t, const char *name, const char *def, struct ldapt_attrs *ret, struct ph_err *err)
{
	char *cursor, *word;

	ret->copy = cursor = ph_strdup(lcfg_str(t->q.cfg, name, def));
	while ((word = ph_str_token(&cursor, PH_SEP_LIST)) != NULL) {
		if (ret->n == LDAPT_MAX_ATTRS)
			return ph_err_set(err, -EINVAL, "%s: more than %d attributes in %s", t->q.name, LDAPT_MAX_ATTRS, name);
		ret->name[ret->n++] = word;
	}
	return 0;
}

static int read_all_attrs(struct ldapt *t, struct ph_err *err)
{
	const struct ldapt_attrs *const lists[] = { &t->plain, &t->special, &t->terminal, &t->leaf };
	size_t n = 0;
	int r;

	if ((r = read_attrs(t, "result_attribute", "maildrop", &t->plain, err)) < 0 ||
	    (r = read_attrs(t, "special_result_attribute", "", &t->special, err)) < 0 ||
	    (r = read_attrs(t, "terminal_result_attribute", "", &t->terminal, err)) < 0 ||
	    (r = read_attrs(t, "leaf_result_attribute", "", &t->leaf, err)) < 0)
		return r;
	for (size_t l = 0; l < PH_ARRAY_LEN(lists); l++)
		for (size_t i = 0; i < lists[l]->n; i++)
			t->wanted[n++] = lists[l]->name[i];
	if (n == 0)
		return ph_err_set(err, -EINVAL, "%s: no result attribute is set", t->q.name);
	return 0;
}

/* "ldap://h:1 ldaps://h", "h1 h2:1444": as a URL each. */
static int read_servers(struct ldapt *t, struct ph_err *err)
{
	char *copy = ph_strdup(lcfg_str(t->q.cfg, "server_host", "localhost")), *cursor = copy, *word;
	struct ph_buf url = PH_BUF_INIT(4096);
	int r = 0;

	while (r == 0 && (word = ph_str_token(&cursor, PH_SEP_LIST)) != NULL) {
		const char *colon = strrchr(word, ':');
		bool has_port = colon && (strchr(word, ':') == colon || (colon > word && colon[-1] == ']'));

		ph_buf_clear(&url);
		if (strstr(word, "://"))
			r = ldap_is_ldap_url(word) || ldap_is_ldaps_url(word) || ldap_is_ldapi_url(word)
				    ? ph_buf_puts(&url, word)
				    : ph_err_set(err, -EINVAL, "%s: bad LDAP URL in server_host: \"%.200s\"", t->q.name, word);
		else if (has_port)
			r = ph_buf_printf(&url, "ldap://%s", word);
		else
			r = ph_buf_printf(&url, "ldap://%s:%d", word, t->port);
		if (r >= 0)
			r = lpool_add_name(t->pool, ph_buf_str(&url), err);
	}
	if (r == 0 && lpool_servers(t->pool) == 0)
		r = ph_err_set(err, -EINVAL, "%s: server_host is empty", t->q.name);
	ph_buf_done(&url);
	free(copy);
	return r;
}

static int read_search(struct ldapt *t, struct ph_err *err)
{
	const char *scope = lcfg_str(t->q.cfg, "scope", "sub");
	int r;

	t->base = lcfg_str(t->q.cfg, "search_base", "");
	t->filter = lcfg_str(t->q.cfg, "query_filter", "(mailacceptinggeneralid=%s)");
	t->base_has_key = strchr(t->base, '%') != NULL;
	if (ph_str_ieq(scope, "sub"))
		t->scope = LDAP_SCOPE_SUBTREE;
	else if (ph_str_ieq(scope, "one"))
		t->scope = LDAP_SCOPE_ONELEVEL;
	else if (ph_str_ieq(scope, "base"))
		t->scope = LDAP_SCOPE_BASE;
	else
		return ph_err_set(err, -EINVAL, "%s: Unrecognized value %.60s specified for scope", t->q.name, scope);
	if ((r = lcfg_check_format(t->q.name, t->base, err)) < 0 || (r = lcfg_check_format(t->q.name, t->filter, err)) < 0 ||
	    (r = lcfg_int(t->q.cfg, "server_port", LDAP_PORT, 1, 65535, &t->port, err)) < 0 ||
	    (r = lcfg_int(t->q.cfg, "version", 3, 2, 3, &t->version, err)) < 0 ||
	    (r = lcfg_int(t->q.cfg, "dereference", 0, 0, 3, &t->deref, err)) < 0 ||
	    (r = lcfg_int(t->q.cfg, "debuglevel", 0, 0, INT_MAX, &t->debug, err)) < 0 ||
	    (r = lcfg_int(t->q.cfg, "recursion_limit", 1000, 1, INT_MAX, &t->recursion_limit, err)) < 0 ||
	    (r = lcfg_int(t->q.cfg, "size_limit", t->q.expansion_limit, 0, INT_MAX, &t->size_limit, err)) < 0 ||
	    (r = lcfg_ms(t->q.cfg, "timeout", 10000, &t->timeout_ms, err)) < 0)
		return r;
	return lcfg_bool(t->q.cfg, "chase_referrals", false, &t->chase, err);
}

static int read_bind(struct ldapt *t, struct ph_err *err)
{
	const char *bind = lcfg_str(t->q.cfg, "bind", "yes");

	t->bind_dn = lcfg_str(t->q.cfg, "bind_dn", "");
	t->bind_pw = lcfg_str(t->q.cfg, "bind_pw", "");
	t->sasl_mechs = lcfg_str(t->q.cfg, "sasl_mechs", "");
	t->sasl_realm = lcfg_str(t->q.cfg, "sasl_realm", "");
	t->sasl_authz = lcfg_str(t->q.cfg, "sasl_authz_id", "");
	if (ph_str_ieq(bind, "no") || ph_str_ieq(bind, "none"))
		t->bind = LDAPT_BIND_NONE;
	else if (ph_str_ieq(bind, "yes") || ph_str_ieq(bind, "simple"))
		t->bind = LDAPT_BIND_SIMPLE;
	else if (ph_str_ieq(bind, "sasl"))
		t->bind = LDAPT_BIND_SASL;
	else
		return ph_err_set(err, -EINVAL, "%s: bad value for bind: \"%.60s\": need yes, no, none, simple or sasl", t->q.name, bind);
	return lcfg_int(t->q.cfg, "sasl_minssf", 0, 0, 4096, &t->sasl_minssf, err);
}

static int read_tls(struct ldapt *t, struct ph_err *err)
{
	int r;

	t->tls_ca_dir = lcfg_str(t->q.cfg, "tls_ca_cert_dir", "");
	t->tls_ca_file = lcfg_str(t->q.cfg, "tls_ca_cert_file", "");
	t->tls_cert = lcfg_str(t->q.cfg, "tls_cert", "");
	t->tls_key = lcfg_str(t->q.cfg, "tls_key", "");
	t->tls_random = lcfg_str(t->q.cfg, "tls_random_file", "");
	t->tls_ciphers = lcfg_str(t->q.cfg, "tls_cipher_suite", "");
	if ((r = lcfg_bool(t->q.cfg, "start_tls", false, &t->start_tls, err)) < 0)
		return r;
	return lcfg_bool(t->q.cfg, "tls_require_cert", false, &t->tls_require, err);
}

static void warn_gone(struct ldapt *t)
{
	static const char *const gone[] = { "cache", "cache_expiry", "cache_size" };

	for (size_t i = 0; i < PH_ARRAY_LEN(gone); i++)
		if (lcfg_str(t->q.cfg, gone[i], NULL))
			ph_log(PH_LOG_WARNING, "%s: %s ignored: caching is no longer supported", t->q.name, gone[i]);
}

int ldapt_settings(struct ldapt *t, struct ph_err *err)
{
	int r;

	if ((r = read_search(t, err)) < 0 || (r = read_bind(t, err)) < 0 || (r = read_tls(t, err)) < 0 ||
	    (r = read_all_attrs(t, err)) < 0 || (r = read_servers(t, err)) < 0)
		return r;
	warn_gone(t);
	lcfg_warn_unused(t->q.cfg);
	return 0;
}

void ldapt_settings_done(struct ldapt *t)
{
	free(t->plain.copy);
	free(t->special.copy);
	free(t->terminal.copy);
	free(t->leaf.copy);
}
