/* memo.c: see memo.h.  A fixed number of places, each for whatever key hashes to it: bounded, and nothing ever has to be searched.  Pure. */
#include "module/memo.h"

#include <stdlib.h>
#include <string.h>

#define PLACES 256
#define KEY_MAX 255
#define VALUE_MAX 1024

struct place {
	char *key, *value;              /* key NULL: empty */
	int64_t until_ms;
};
struct ph_memo {
	struct place at[PLACES];
};

struct ph_memo *ph_memo_new(void)
{
	return ph_alloc(sizeof(struct ph_memo));
}

static void forget(struct place *p)
{
	free(p->key);
	free(p->value);
	*p = (struct place){ NULL, NULL, 0 };
}

void ph_memo_clear(struct ph_memo *m)
{
	for (size_t i = 0; m && i < PLACES; i++)
		forget(&m->at[i]);
}

void ph_memo_free(struct ph_memo **m)
{
	ph_memo_clear(*m);
	free(*m);
	*m = NULL;
}

/* FNV-1a */
static size_t place_of(const char *key)
{
	uint32_t h = 2166136261u;

	for (; *key; key++)
		h = (h ^ (unsigned char)*key) * 16777619u;
	return (h ^ h >> 16) % PLACES;
}

int ph_memo_get(const struct ph_memo *m, const char *key, int64_t now_ms, const char **ret_value)
{
	const struct place *p = &m->at[place_of(key)];

	if (!p->key || now_ms >= p->until_ms || strcmp(p->key, key) != 0)
		return 0;
	*ret_value = p->value;
	return 1;
}

void ph_memo_put(struct ph_memo *m, const char *key, const char *value, int64_t asked_ms)
{
	struct place *p = &m->at[place_of(key)];

	forget(p);
	if (strlen(key) > KEY_MAX || (value && strlen(value) > VALUE_MAX))
		return;
	p->key = ph_strdup(key);
	p->value = value ? ph_strdup(value) : NULL;
	p->until_ms = asked_ms + PH_MEMO_MS;
}
