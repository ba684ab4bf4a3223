/* htab.h: open hash table with string keys.
 *
 * Keys are not copied: they live in the values, or elsewhere as long as the entry.  Hashed with SipHash-1-3 under a
 * random key, so that a peer who picks the keys cannot make them collide.  Nothing here yields, but a cursor does
 * not survive a yield, nor any put or del (delete during a walk with ph_htab_del_at). */
#ifndef PH_BASE_HTAB_H
#define PH_BASE_HTAB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct ph_htab_slot {
	const char *key;                /* not NUL-terminated when put with ph_htab_putn */
	void *value;                    /* NULL: empty */
	uint32_t hash;
	uint32_t key_len;
};

struct ph_htab {                        /* zero it to initialise */
	struct ph_htab_slot *slots;
	size_t n, cap;                  /* cap: 0 or a power of two */
};

void *ph_htab_get(const struct ph_htab *t, const char *key);                    /* NULL: not there */
void *ph_htab_getn(const struct ph_htab *t, const char *key, size_t n);
/* value: not NULL.  Returns the value that was there before (its key is replaced, too), or NULL. */
void *ph_htab_put(struct ph_htab *t, const char *key, void *value);
void *ph_htab_putn(struct ph_htab *t, const char *key, size_t n, void *value);
/* Take out and return the value; NULL: not there. */
void *ph_htab_del(struct ph_htab *t, const char *key);
void *ph_htab_deln(struct ph_htab *t, const char *key, size_t n);
/* Walk: size_t cursor = 0; while ((v = ph_htab_next(t, &cursor, &key))) ...  ret_key may be NULL. */
void *ph_htab_next(const struct ph_htab *t, size_t *cursor, const char **ret_key);
/* Delete what the last ph_htab_next returned, and go on with the walk. */
void ph_htab_del_at(struct ph_htab *t, size_t *cursor);
/* Frees the table, not the values. */
void ph_htab_done(struct ph_htab *t);

/* SipHash-1-3 under this process's random key. */
uint64_t ph_hash_bytes(const void *p, size_t n);

#endif
