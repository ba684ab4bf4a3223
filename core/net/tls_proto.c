/* tls_proto.c: protocol lists in Postfix's syntax, and cipher grades.  No state; no yield. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/err.h>

#include "net/tls_private.h"

static const struct {
	const char *name;
	int version;
	uint64_t no;
} protocols[] = {
	{ "SSLv2", 0x0002, 0 },         /* a word that old configurations exclude; OpenSSL has forgotten it */
	{ "SSLv3", SSL3_VERSION, SSL_OP_NO_SSLv3 },
	{ "TLSv1", TLS1_VERSION, SSL_OP_NO_TLSv1 },
	{ "TLSv1.1", TLS1_1_VERSION, SSL_OP_NO_TLSv1_1 },
	{ "TLSv1.2", TLS1_2_VERSION, SSL_OP_NO_TLSv1_2 },
	{ "TLSv1.3", TLS1_3_VERSION, SSL_OP_NO_TLSv1_3 },
};

static int protocol_find(const char *name)
{
	size_t i;

	for (i = 0; i < PH_ARRAY_LEN(protocols); i++)
		if (ph_str_ieq(protocols[i].name, name))
			return (int)i;
	return -1;
}

/* ">=TLSv1", "<=0304": a name or the version's four hexadecimal digits. */
static int parse_bound(const char *name, int *ret)
{
	int i = protocol_find(name);
	char *end;
	long v;

	if (*name == '\0') {            /* ">=": no bound */
		*ret = 0;
		return 0;
	}
	if (i >= 0) {
		*ret = protocols[i].version == 0x0002 ? 0 : protocols[i].version;
		return 0;
	}
	v = strtol(name, &end, 16);
	if (*end || v < 0 || v > 0xffff)
		return -EINVAL;
	*ret = (int)v;
	return 0;
}

int ph_tls_protocols_parse(const char *list, struct ph_tls_protocols *ret, struct ph_err *err)
{
	struct ph_tls_protocols p = { 0, 0, 0 };
	char *copy = ph_strdup(list), *cursor = copy, *token;
	uint64_t listed = 0, every = 0;
	bool inclusive = false;
	size_t i;
	int k, r = 0;

	while (r == 0 && (token = ph_str_token(&cursor, ", \t\r\n:")) != NULL) {
		if (strncmp(token, ">=", 2) == 0) {
			r = parse_bound(token + 2, &p.min);
		} else if (strncmp(token, "<=", 2) == 0) {
			r = parse_bound(token + 2, &p.max);
		} else {
			k = protocol_find(token + (*token == '!'));
			if (k < 0) {
				r = -EINVAL;
			} else if (*token == '!') {
				p.no |= protocols[k].no;
			} else {
				inclusive = true;
				listed |= protocols[k].no;
			}
		}
		if (r < 0)
			ph_err_set(err, r, "Invalid TLS protocol list \"%s\"", list);
	}
	for (i = 0; i < PH_ARRAY_LEN(protocols); i++)
		every |= protocols[i].no;
	if (inclusive)
		p.no |= every & ~listed;
	free(copy);
	if (r == 0 && p.no == every)
		r = ph_err_set(err, -EINVAL, "no protocol left in \"%s\"", list);
	if (r == 0)
		*ret = p;
	return r;
}

/* Postfix's lists.  The odd start orders: everything without authentication goes to the front and out again. */
static const struct {
	const char *grade, *list;
} grades[] = {
	{ "high", "aNULL:-aNULL:HIGH:@STRENGTH" },
	{ "medium", "aNULL:-aNULL:HIGH:MEDIUM:+RC4:@STRENGTH" },
	{ "low", "aNULL:-aNULL:HIGH:MEDIUM:LOW:+RC4:@STRENGTH" },
	{ "export", "aNULL:-aNULL:HIGH:MEDIUM:LOW:EXPORT:+RC4:@STRENGTH" },
	{ "null", "eNULL:!aNULL" },
};

static int cipher_list(const struct ph_tls_settings *s, struct ph_buf *b, struct ph_err *err)
{
	const char *grade = s->ciphers && *s->ciphers ? s->ciphers : "medium", *list = s->cipherlist;
	char *copy, *cursor, *token;
	size_t i;

	for (i = 0; i < PH_ARRAY_LEN(grades); i++)
		if (ph_str_ieq(grade, grades[i].grade))
			break;
	if (i == PH_ARRAY_LEN(grades))
		return ph_err_set(err, -EINVAL, "invalid TLS cipher grade: \"%s\"", grade);
	ph_buf_puts(b, list && *list ? list : grades[i].list);
	if (s->exclude_ciphers == NULL)
		return 0;
	copy = cursor = ph_strdup(s->exclude_ciphers);
	while ((token = ph_str_token(&cursor, ", \t\r\n:")) != NULL)
		ph_buf_printf(b, ":!%s", token);
	free(copy);
	return 0;
}

/* As in Postfix, two servers that do not look at each other's certificates may do without (aNULL); where a
 * certificate matters that is out of the question. */
int ph_tls_set_ciphers(struct ph_tls_ctx *c, const struct ph_tls_settings *s, struct ph_err *err)
{
	struct ph_buf b = PH_BUF_INIT(65536);
	int r = cipher_list(s, &b, err);

	if (s->verify != PH_TLS_VERIFY_NONE)
		ph_buf_puts(&b, ":!aNULL");
	ERR_clear_error();
	if (r == 0 && SSL_CTX_set_cipher_list(c->ssl_ctx, ph_buf_str(&b)) == 0)
		r = ph_tls_err(err, -EINVAL, "invalid cipher list: \"%s\"", ph_buf_str(&b));
	if (r == 0) {
		ph_buf_puts(&b, ":!aNULL");
		c->authenticated_ciphers = ph_strdup(ph_buf_str(&b));
	}
	ph_buf_done(&b);
	return r;
}
