/* sni.c: tls_server_sni_maps: certificates by the name that a client asks for.
 *
 * Owns one struct sni per configuration, with a context for each name that was found (bounded by the table: only names in it get one).
 * Does not yield, since OpenSSL calls it: tables on the network cannot be used.  RFC 6066 section 3; postconf(5). */
#include "smtpd/sni.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <posthouse/lookup.h>

#include "base/htab.h"
#include "base/list.h"
#include "config/config.h"
#include "route/hostname.h"

#define NAME_MAX_BYTES 255
#define CONTEXTS_MAX 10000

struct found {
	struct ph_list all;
	struct ph_tls_ctx *ctx;         /* NULL: the value is no good; said once */
	char key[];
};

struct sni {
	struct ph_maps *maps;
	struct ph_tls_settings settings;
	char *exclude, *cipherlist;     /* copies of what does not live long enough */
	struct ph_htab contexts;
	struct ph_list all;
};

/* The value is base64 of key and certificates, as postmap -F makes it, or names the files. */
static struct ph_tls_ctx *make(struct sni *sni, const char *name, const char *value)
{
	struct ph_tls_settings t = sni->settings;
	size_t n = strlen(value);
	char *pem = ph_alloc(n / 4 * 3 + 4);
	struct ph_tls_ctx *ctx = NULL;
	struct ph_err err;

	t.on_sni = NULL;
	if (ph_base64_decode((struct ph_slice){ value, n }, pem) > 0 && strstr(pem, "-----BEGIN "))
		t.chain_pem = pem;
	else
		t.chain_files = value;
	if (ph_tls_server_ctx(&t, &ctx, &err) < 0) {
		ctx = NULL;
		ph_log(PH_LOG_WARNING, "TLS SNI %s from tls_server_sni_maps: %s; using the default certificate", name, err.text);
	}
	explicit_bzero(pem, n / 4 * 3 + 4);
	free(pem);
	return ctx;
}

static struct found *remember(struct sni *sni, const char *key, struct ph_tls_ctx *ctx)
{
	size_t n = strlen(key) + 1;
	struct found *f = ph_alloc(sizeof(*f) + n);

	memcpy(f->key, key, n);
	f->ctx = ctx;
	ph_list_append(&sni->all, &f->all);
	ph_htab_put(&sni->contexts, f->key, f);
	return f;
}

/* The context of one key of the table, or NULL. */
static struct found *find(struct sni *sni, const char *key)
{
	struct found *f = ph_htab_get(&sni->contexts, key);
	struct ph_arena *a;
	const char *value;
	struct ph_err err;
	enum ph_lookup r;

	if (f || sni->contexts.n >= CONTEXTS_MAX)
		return f;
	a = ph_arena_new();
	r = ph_maps_find(sni->maps, key, false, a, &value, &err);
	if (r == PH_LOOKUP_FOUND)
		f = remember(sni, key, make(sni, key, value));
	else if (r != PH_LOOKUP_NOTFOUND)
		ph_log(PH_LOG_WARNING, "tls_server_sni_maps: lookup of %s failed: %s; using the default certificate", key, err.text);
	ph_arena_free(&a);
	return f;
}

/* The name, then ".parent" of each of its domains. */
static bool on_sni(void *arg, const char *name, struct ph_tls_ctx **ret)
{
	char key[NAME_MAX_BYTES + 1];
	struct found *f;
	const char *dot;
	size_t n = strlen(name);

	if (n == 0 || n > NAME_MAX_BYTES || !ph_hostname_valid(name, 0))
		return false;           /* whatever it is, no path and no key is made of it */
	memcpy(key, name, n + 1);
	ph_str_lower(key);
	f = find(arg, key);
	for (dot = strchr(key, '.'); !f && dot; dot = strchr(dot + 1, '.'))
		f = find(arg, dot);
	if (!f || !f->ctx)
		return false;
	*ret = f->ctx;
	return true;
}

static void sni_free(void *arg)
{
	struct sni *sni = arg;
	struct found *f;

	while ((f = ph_list_first(&sni->all, struct found, all)) != NULL) {
		ph_htab_del(&sni->contexts, f->key);
		ph_list_del(&f->all);
		ph_tls_ctx_free(&f->ctx);
		free(f);
	}
	ph_htab_done(&sni->contexts);
	free(sni->exclude);
	free(sni->cipherlist);
	free(sni);
}

void ph_sni_use(const struct ph_conf *conf, const char *maps, struct ph_tls_settings *t)
{
	struct sni *sni;

	if (!*maps)
		return;
	sni = ph_conf_attach_get(conf, "smtpd sni");
	if (!sni) {
		sni = ph_alloc(sizeof(*sni));
		ph_list_init(&sni->all);
		sni->maps = ph_maps_open(conf, "tls_server_sni_maps", maps);
		if (ph_maps_flags(sni->maps) & PH_LOOKUP_NETWORK) {
			ph_log(PH_LOG_WARNING, "tls_server_sni_maps: tables on the network cannot be used: %s", maps);
			free(sni);
			return;
		}
		sni->settings = *t;
		sni->settings.exclude_ciphers = sni->exclude = ph_strdup(t->exclude_ciphers ? t->exclude_ciphers : "");
		if (t->cipherlist)
			sni->settings.cipherlist = sni->cipherlist = ph_strdup(t->cipherlist);
		ph_conf_attach_set(conf, "smtpd sni", sni, sni_free);
	}
	t->on_sni = on_sni;
	t->arg = sni;
}
