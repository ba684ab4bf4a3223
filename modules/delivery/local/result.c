/* result.c: what became of a destination, and which ones were seen before. */
#include "local.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

void local_result(struct local_state *st, enum ph_delivery_status status, const char *dsn, const char *fmt, ...)
{
	char text[4096];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	if (status == PH_DEFERRED)
		st->shared->deferred = true;
	st->shared->parts++;
	ph_delivery_part_owned(st->d, st->sender != ph_delivery_sender(st->d));
	if (st->shared->expanded)
		ph_delivery_part(st->d, st->rcpt, st->address, status, dsn, "local", "%s", text);
	else
		ph_delivery_result(st->d, st->rcpt, status, dsn, "local", "%s", text);
	ph_delivery_remote(st->d, NULL, NULL);
	ph_delivery_part_owned(st->d, false);
}

void local_config_error(struct local_state *st)
{
	local_result(st, PH_BOUNCED, "5.3.5", "mail system configuration error");
}

static uint64_t hash_of(const char *s)
{
	uint64_t h = 1469598103934665603ull;

	for (; *s; s++)
		h = (h ^ (unsigned char)*s) * 1099511628211ull;
	return h;
}

static struct local_seen *find(struct local_shared *sh, const char *key, uint64_t h)
{
	for (struct local_seen *s = sh->seen[h & 255]; s; s = s->next)
		if (s->hash == h && strcmp(s->key, key) == 0)
			return s;
	return NULL;
}

static char *key_of(char *buf, size_t bytes, const char *fmt, va_list ap) __attribute__((format(printf, 3, 0)));
static char *key_of(char *buf, size_t bytes, const char *fmt, va_list ap)
{
	vsnprintf(buf, bytes, fmt, ap);
	return ph_str_lower(buf);
}

bool local_seen_check(struct local_state *st, const char *fmt, ...)
{
	char key[4096];
	va_list ap;

	va_start(ap, fmt);
	key_of(key, sizeof key, fmt, ap);
	va_end(ap);
	return find(st->shared, key, hash_of(key)) != NULL;
}

bool local_seen(struct local_state *st, const char *fmt, ...)
{
	struct local_shared *sh = st->shared;
	int limit = st->svc->set->duplicate_filter_limit;
	struct local_seen *s;
	char key[4096];
	va_list ap;
	uint64_t h;
	size_t n;

	va_start(ap, fmt);
	key_of(key, sizeof key, fmt, ap);
	va_end(ap);
	h = hash_of(key);
	if (find(sh, key, h))
		return true;
	if (limit > 0 && sh->n_seen >= limit)
		return false;
	n = strlen(key) + 1;
	s = ph_arena_alloc(st->arena, sizeof *s + n);
	memcpy(s->key, key, n);
	s->hash = h;
	s->next = sh->seen[h & 255];
	sh->seen[h & 255] = s;
	sh->n_seen++;
	return false;
}

bool local_word_in(const char *list, const char *word)
{
	size_t n = strlen(word);

	for (const char *p = list; *p; p += strcspn(p, PH_SEP_LIST)) {
		p += strspn(p, PH_SEP_LIST);
		if (strncasecmp(p, word, n) == 0 && (!p[n] || strchr(PH_SEP_LIST, p[n])))
			return true;
	}
	return false;
}
