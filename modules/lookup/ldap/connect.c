/* connect.c: an LDAP connection that is bound.  Runs on a helper thread: libldap resolves, connects and negotiates in blocking calls.
 * Source: ldap_table(5), ldap_initialize(3), ldap_set_option(3). */
#include "ldap.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#if __has_include(<sasl/sasl.h>)
#include <sasl/sasl.h>
#define WITH_SASL 1
#endif

#define CONNECT_SECONDS 10      /* of each step; less when the table's timeout is shorter */

static int fail(struct ph_err *err, int code, const char *what, LDAP *ld, int rc)
{
	char *more = NULL;
	int r;

	if (ld)
		ldap_get_option(ld, LDAP_OPT_DIAGNOSTIC_MESSAGE, &more);
	r = ph_err_set(err, code, "%s: %s%s%s", what, ldap_err2string(rc), more && *more ? ": " : "", more ? more : "");
	if (more)
		ldap_memfree(more);
	return r;
}

static int set_tls(const struct ldapt *t, LDAP *ld, struct ph_err *err)
{
	const struct { int option; const char *value; } files[] = {
		{ LDAP_OPT_X_TLS_CACERTDIR, t->tls_ca_dir }, { LDAP_OPT_X_TLS_CACERTFILE, t->tls_ca_file },
		{ LDAP_OPT_X_TLS_CERTFILE, t->tls_cert }, { LDAP_OPT_X_TLS_KEYFILE, t->tls_key },
		{ LDAP_OPT_X_TLS_RANDOM_FILE, t->tls_random }, { LDAP_OPT_X_TLS_CIPHER_SUITE, t->tls_ciphers },
	};
	int require = t->tls_require ? LDAP_OPT_X_TLS_DEMAND : LDAP_OPT_X_TLS_NEVER, off = 0, rc = LDAP_SUCCESS;

	for (size_t i = 0; rc == LDAP_SUCCESS && i < PH_ARRAY_LEN(files); i++)
		if (*files[i].value)
			rc = ldap_set_option(ld, files[i].option, files[i].value);
	if (rc == LDAP_SUCCESS)
		rc = ldap_set_option(ld, LDAP_OPT_X_TLS_REQUIRE_CERT, &require);
	if (rc == LDAP_SUCCESS)         /* a context of this table's own, made of the above */
		rc = ldap_set_option(ld, LDAP_OPT_X_TLS_NEWCTX, &off);
	return rc == LDAP_SUCCESS ? 0 : fail(err, -EIO, "unable to set TLS options", NULL, rc);
}

static int set_options(const struct ldapt *t, LDAP *ld, struct ph_err *err)
{
	int64_t ms = t->timeout_ms < CONNECT_SECONDS * 1000 ? t->timeout_ms : CONNECT_SECONDS * 1000;
	struct timeval tv = { ms / 1000, ms % 1000 * 1000 };
	ber_len_t most = LDAPT_MAX_BYTES;
	Sockbuf *sb = NULL;

	if (ldap_set_option(ld, LDAP_OPT_PROTOCOL_VERSION, &t->version) != LDAP_SUCCESS ||
	    ldap_set_option(ld, LDAP_OPT_NETWORK_TIMEOUT, &tv) != LDAP_SUCCESS ||
	    ldap_set_option(ld, LDAP_OPT_TIMEOUT, &tv) != LDAP_SUCCESS ||
	    ldap_set_option(ld, LDAP_OPT_DEREF, &t->deref) != LDAP_SUCCESS ||
	    ldap_set_option(ld, LDAP_OPT_REFERRALS, t->chase ? LDAP_OPT_ON : LDAP_OPT_OFF) != LDAP_SUCCESS)
		return ph_err_set(err, -EIO, "unable to set LDAP options");
	if (t->debug)
		ldap_set_option(NULL, LDAP_OPT_DEBUG_LEVEL, &t->debug);
	if (ldap_get_option(ld, LDAP_OPT_SOCKBUF, &sb) == LDAP_SUCCESS && sb)
		ber_sockbuf_ctrl(sb, LBER_SB_OPT_SET_MAX_INCOMING, &most);
	return 0;
}

#ifdef WITH_SASL
/* What the mechanism asks for, from the settings. */
static int sasl_answer(LDAP *ld, unsigned flags, void *ctx, void *in)
{
	const struct ldapt *t = ctx;
	sasl_interact_t *i;

	for (i = in; i->id != SASL_CB_LIST_END; i++) {
		const char *v = NULL;

		switch (i->id) {
		case SASL_CB_GETREALM: v = t->sasl_realm; break;
		case SASL_CB_AUTHNAME: v = t->bind_dn; break;
		case SASL_CB_USER: v = t->sasl_authz; break;
		case SASL_CB_PASS: v = t->bind_pw; break;
		default: break;
		}
		if (v == NULL || *v == '\0')
			v = i->defresult ? i->defresult : "";
		i->result = v;
		i->len = (unsigned)strlen(v);
	}
	return LDAP_SUCCESS;
}

static int bind_sasl(const struct ldapt *t, LDAP *ld)
{
	ber_len_t min = (ber_len_t)t->sasl_minssf;

	if (min > 0 && ldap_set_option(ld, LDAP_OPT_X_SASL_SSF_MIN, &min) != LDAP_SUCCESS)
		return LDAP_PARAM_ERROR;
	return ldap_sasl_interactive_bind_s(ld, NULL, *t->sasl_mechs ? t->sasl_mechs : NULL, NULL, NULL, LDAP_SASL_QUIET, sasl_answer,
					    (void *)(uintptr_t)t);
}
#else
static int bind_sasl(const struct ldapt *t, LDAP *ld)
{
	return LDAP_AUTH_METHOD_NOT_SUPPORTED;
}
#endif

static int bind_simple(const struct ldapt *t, LDAP *ld)
{
	struct berval pw = { strlen(t->bind_pw), (char *)(uintptr_t)t->bind_pw };

	return ldap_sasl_bind_s(ld, t->bind_dn, LDAP_SASL_SIMPLE, &pw, NULL, NULL, NULL);
}

int ldapt_connect(const struct ldapt *t, const char *url, LDAP **ret, struct ph_err *err)
{
	LDAP *ld = NULL;
	int rc = ldap_initialize(&ld, url), r;

	if (rc != LDAP_SUCCESS)
		return fail(err, -EINVAL, "ldap_initialize failed", NULL, rc);
	r = set_options(t, ld, err);
	if (r == 0 && (t->start_tls || strncmp(url, "ldaps:", 6) == 0))
		r = set_tls(t, ld, err);
	if (r == 0 && (rc = ldap_connect(ld)) != LDAP_SUCCESS)
		r = fail(err, -ECONNREFUSED, "Unable to connect", ld, rc);
	if (r == 0 && t->start_tls && (rc = ldap_start_tls_s(ld, NULL, NULL)) != LDAP_SUCCESS)
		r = fail(err, -EPROTO, "Unable to set STARTTLS", ld, rc);
	if (r == 0 && t->bind != LDAPT_BIND_NONE) {
		rc = t->bind == LDAPT_BIND_SASL ? bind_sasl(t, ld) : bind_simple(t, ld);
		if (rc != LDAP_SUCCESS)
			r = fail(err, -EACCES, "Unable to bind", ld, rc);
	}
	if (r < 0)
		ldap_unbind_ext_s(ld, NULL, NULL);
	else
		*ret = ld;
	return r;
}
