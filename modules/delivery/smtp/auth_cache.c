/* auth_cache.c: logins that a server has refused (smtp_sasl_auth_cache_name): the same password is not tried there again before its time, as servers lock accounts
 * over that.
 *
 * A record stands for a server's name and a user.  It holds when the server said no, what it said, and what tells whether the password is still the same: a
 * salted PBKDF2 of it, as the table may be read by people who must not know it.  A table that fails costs a login that could have been spared, no mail.
 * Yields where the table does. */
#include "smtp.h"

#include <stdlib.h>
#include <string.h>

#include <openssl/evp.h>
#include <openssl/rand.h>

#define SALT_BYTES 16
#define SUM_BYTES 32
#define ROUNDS 2000

static const char *key_of(struct smtp_state *st, const char *user)
{
	return ph_arena_printf(st->arena, "%s;%s", st->session->host, user);
}

static const char *hex(struct smtp_state *st, const unsigned char *p, size_t n)
{
	char *text = ph_arena_alloc(st->arena, n * 2 + 1);
	size_t i;

	for (i = 0; i < n; i++) {
		text[i * 2] = "0123456789abcdef"[p[i] >> 4];
		text[i * 2 + 1] = "0123456789abcdef"[p[i] & 15];
	}
	return text;
}

/* salt: its hexadecimal form, which is as good a salt.  NULL: OpenSSL cannot. */
static const char *digest(struct smtp_state *st, const char *password, const char *salt)
{
	unsigned char sum[SUM_BYTES];

	if (PKCS5_PBKDF2_HMAC(password, (int)strlen(password), (const unsigned char *)salt, (int)strlen(salt), ROUNDS, EVP_sha256(), sizeof(sum), sum) != 1)
		return NULL;
	return hex(st, sum, sizeof(sum));
}

/* The next field of "time;salt;digest;status;text"; "" when there is none. */
static const char *field(char **cursor)
{
	char *f = *cursor ? strsep(cursor, ";") : NULL;

	return f ? f : "";
}

/* Does the record still say something about this password?  Then *ret_dsn and *ret_text. */
static bool holds(struct smtp_state *st, char *record, const char *password, const char **ret_dsn, const char **ret_text)
{
	const char *when = field(&record), *salt = field(&record), *sum = field(&record), *mine;
	int64_t seconds, age;

	if (ph_str_int64(when, 0, INT64_MAX / 1000000, &seconds) < 0)
		return false;
	age = ph_wall_us() / 1000000 - seconds;
	mine = digest(st, password, salt);
	if (age < 0 || age >= st->service->set->sasl_cache_ms / 1000 || mine == NULL || strcmp(mine, sum) != 0)
		return false;
	*ret_dsn = field(&record);
	*ret_text = record;
	return record && smtp_dsn_length(*ret_dsn, strlen(*ret_dsn)) > 0;
}

static void complain(struct smtp_state *st, const struct ph_err *err)
{
	ph_log(PH_LOG_WARNING, "%s: %ssasl_auth_cache_name: %s", st->queue_id, SMTP_PREFIX, err->text);
}

bool smtp_auth_cache_find(struct smtp_state *st, const char *user, const char *password, const char **ret_dsn, const char **ret_text)
{
	struct ph_records *cache = st->service->sasl_cache;
	const char *value;
	struct ph_err err;

	if (cache == NULL)
		return false;
	switch (ph_records_get(cache, key_of(st, user), st->arena, &value, &err)) {
	case PH_LOOKUP_NOTFOUND:
		return false;
	case PH_LOOKUP_TEMPFAIL:
	case PH_LOOKUP_PERMERR:
		complain(st, &err);
		return false;
	case PH_LOOKUP_FOUND:
		break;
	}
	if (holds(st, ph_arena_strdup(st->arena, value), password, ret_dsn, ret_text))
		return true;
	if (ph_records_put(cache, key_of(st, user), NULL, &err) < 0)
		complain(st, &err);
	return false;
}

void smtp_auth_cache_note(struct smtp_state *st, const char *user, const char *password)
{
	struct ph_records *cache = st->service->sasl_cache;
	const struct smtp_reply *r = &st->session->reply;
	const char *salt, *sum, *value;
	unsigned char random[SALT_BYTES];
	struct ph_err err;

	if (cache == NULL || r->code != 535)
		return;
	if (RAND_bytes(random, sizeof(random)) != 1)
		return;                         /* without salt: rather no record */
	salt = hex(st, random, sizeof(random));
	sum = digest(st, password, salt);
	if (sum == NULL)
		return;
	value = ph_arena_printf(st->arena, "%lld;%s;%s;%s;%s", (long long)(ph_wall_us() / 1000000), salt, sum, r->dsn, smtp_reply_text(st));
	if (ph_records_put(cache, key_of(st, user), value, &err) < 0)
		complain(st, &err);
}
