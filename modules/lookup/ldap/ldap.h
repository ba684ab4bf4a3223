/* ldap.h: the inside of the ldap table: settings, connections, searches. */
#ifndef LOOKUP_LDAP_LDAP_H
#define LOOKUP_LDAP_LDAP_H

#include "../common/pool.h"
#include "../common/query.h"

#include <ldap.h>

#define LDAPT_MAX_ATTRS 64
#define LDAPT_MAX_ITEMS 100000                  /* values and references of one look-up */
#define LDAPT_MAX_BYTES ((size_t)16 << 20)      /* their text; also of one answer of the server */

enum ldapt_bind { LDAPT_BIND_NONE, LDAPT_BIND_SIMPLE, LDAPT_BIND_SASL };

/* Names of attributes, in the order of the settings; NULL-terminated, words of copy. */
struct ldapt_attrs {
	char *copy;
	char *name[LDAPT_MAX_ATTRS + 1];
	size_t n;
};

struct ldapt {
	struct lquery q;
	struct lpool *pool;
	const char *base, *filter;
	bool base_has_key;              /* search_base holds a % */
	int scope, port, version, deref, size_limit, recursion_limit, debug;
	int64_t timeout_ms;
	bool chase;
	enum ldapt_bind bind;
	const char *bind_dn, *bind_pw, *sasl_mechs, *sasl_realm, *sasl_authz;
	int sasl_minssf;
	bool start_tls, tls_require;
	const char *tls_ca_dir, *tls_ca_file, *tls_cert, *tls_key, *tls_random, *tls_ciphers;
	struct ldapt_attrs plain, special, terminal, leaf;
	char *wanted[4 * LDAPT_MAX_ATTRS + 1];  /* all of them, NULL-terminated; not owned */
};

/* settings.c.  0 or negative with err. */
int ldapt_settings(struct ldapt *t, struct ph_err *err);
void ldapt_settings_done(struct ldapt *t);

/* connect.c.  Any thread: connect, STARTTLS, bind.  0 and *ret, or negative with err. */
int ldapt_connect(const struct ldapt *t, const char *url, LDAP **ret, struct ph_err *err);

/* quote.c: pure.  As lcfg_quote_fn: a key in a filter (RFC 4515), in a DN (RFC 4514). */
int ldapt_quote_filter(void *ctx, const char *part, size_t n, struct ph_buf *out);
int ldapt_quote_dn(void *ctx, const char *part, size_t n, struct ph_buf *out);
/* Which of the table's attributes a URL's list selects: 0 and ret (its words belong to t and attrs), NULL-terminated.  attrs NULL or without words:
 * all.  Source: ldap_table(5), special_result_attribute. */
void ldapt_select(char *const *wanted, char *const *attrs, char *ret[4 * LDAPT_MAX_ATTRS + 1]);
/* Is attr, as the server returned it, the one of the list?  Options (";lang-en") count only when the list names them. */
bool ldapt_listed(const struct ldapt_attrs *list, const char *attr);

/* search.c: one look-up over a connection. */
struct ldapt_query {
	struct ldapt *t;
	const char *key;
	const char *base, *filter;
	struct lresult *res;
	int failed;                     /* the answer is an error: of this query, not of the server */
	struct ph_err why;
};
int ldapt_ask(struct lconn *c, struct ldapt_query *q, int64_t deadline, struct ph_err *err);
#endif
