/* Settings files of tables (.cf), keys in LDAP filters and names, LDAP URLs in special result attributes.  The first byte chooses. */
#include "../../modules/lookup/common/hosts.h"
#include "config/config.h"
#include "../../modules/lookup/ldap/ldap.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static void url(const char *text)
{
	char *wanted[] = { "mail", "maildrop;x", "memberdn", NULL }, *ret[4 * LDAPT_MAX_ATTRS + 1];
	LDAPURLDesc *u = NULL;

	if (!ldap_is_ldap_url(text) || ldap_url_parse(text, &u) != LDAP_URL_SUCCESS)
		return;
	ldapt_select(wanted, u->lud_attrs, ret);
	for (size_t i = 0; ret[i]; i++)
		if (i == 3)
			abort();
	ldap_free_urldesc(u);
}

/* Nothing of a key has a meaning in a filter; a name that is made of it is one name. */
static void quoting(const char *key)
{
	struct ph_buf b = PH_BUF_INIT(65536);
	bool failed = false;

	if (lcfg_expand_quoted("(mail=%s)", key, ldapt_quote_filter, NULL, &b, &failed)) {
		if (strchr(b.data, '(') != b.data || strchr(b.data, ')') != b.data + b.len - 1 || strchr(b.data, '*'))
			abort();
	}
	ph_buf_clear(&b);
	if (lcfg_expand_quoted("ou=%s,dc=x", key, ldapt_quote_dn, NULL, &b, &failed)) {
		LDAPDN dn = NULL;

		if (ph_utf8_valid(key, strlen(key)) && *key) {
			if (ldap_str2dn(b.data, &dn, LDAP_DN_FORMAT_LDAPV3) != LDAP_SUCCESS || !dn[0] || !dn[1] || dn[2])
				abort();
			ldap_dnfree(dn);
		}
	}
	ph_buf_done(&b);
}

static const struct ph_conf *conf;      /* lists of domains are read with its settings */

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	struct ph_config *config;
	struct ph_err err;

	(void)argc;
	(void)argv;
	if (ph_config_parse("", "", &config, &err) < 0)
		abort();
	conf = ph_config_main(config);
	return 0;
}

static void settings(const char *text, size_t n)
{
	int fd = memfd_create("cf", MFD_CLOEXEC);
	char name[40];
	struct ph_table_spec spec = { .type = "pgsql", .name = name, .conf = conf };
	struct lquery q = { 0 };
	struct ph_err err;
	const char *sql;
	char *made = NULL, *host;
	int port;

	if (fd < 0 || write(fd, text, n) != (ssize_t)n)
		abort();
	snprintf(name, sizeof name, "/proc/self/fd/%d", fd);
	if (lquery_open(&q, &spec, &err) == 0 && lquery_sql(&q, true, &sql, &made, &err) == 0) {
		struct ph_buf b = PH_BUF_INIT(65536);
		bool failed;

		lcfg_expand_quoted(sql, "user@sub.example.com", ldapt_quote_filter, NULL, &b, &failed);
		ph_buf_done(&b);
		if (lhosts_split(lcfg_str(q.cfg, "hosts", "localhost"), &host, &port, &err) == 0)
			free(host);
	}
	free(made);
	lquery_done(&q);
	close(fd);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	char *copy;

	if (n == 0 || n > 4096)
		return 0;
	copy = ph_strndup((const char *)data + 1, n - 1);
	switch (data[0] % 3) {
	case 0: url(copy); break;
	case 1: quoting(copy); break;
	default: settings((const char *)data + 1, n - 1); break;
	}
	free(copy);
	return 0;
}
