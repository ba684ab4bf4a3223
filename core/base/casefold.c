/* casefold.c: text without the difference of upper and lower case, as Unicode folds it (full folding, no locale).
 *
 * No state; no yield; any thread.  ASCII costs one walk over the bytes; libunistring is asked for the rest only.  What is not UTF-8 is folded
 * as ASCII: bytes of other character sets must stay what they are.  Source: Unicode 3.13 "Default Case Folding"; keys as in Postfix with
 * smtputf8_enable = yes. */
#include <config.h>

#include <stdlib.h>
#include <string.h>
#ifdef HAVE_UNISTRING
#include <unicase.h>
#endif

#include "base/str.h"

#ifdef HAVE_UNISTRING
static char *fold_unicode(struct ph_arena *arena, const char *s, size_t n)
{
	size_t len = 0;
	uint8_t *folded = u8_casefold((const uint8_t *)s, n, NULL, NULL, NULL, &len);
	char *copy = folded ? ph_arena_strndup(arena, (const char *)folded, len) : NULL;

	free(folded);
	return copy;
}
#endif

char *ph_str_fold(struct ph_arena *arena, const char *s, bool utf8)
{
#ifdef HAVE_UNISTRING
	if (utf8 && !ph_str_ascii(s)) {
		size_t n = strlen(s);
		char *folded = ph_utf8_valid(s, n) ? fold_unicode(arena, s, n) : NULL;

		if (folded)
			return folded;
	}
#else
	(void)utf8;
#endif
	return ph_str_lower(ph_arena_strdup(arena, s));
}

bool ph_str_fold_eq(const char *a, const char *b, bool utf8)
{
	struct ph_arena *arena;
	bool same;

	if (ph_str_ieq(a, b))
		return true;
	if (!utf8 || (ph_str_ascii(a) && ph_str_ascii(b)))
		return false;
	arena = ph_arena_new();
	same = strcmp(ph_str_fold(arena, a, true), ph_str_fold(arena, b, true)) == 0;
	ph_arena_free(&arena);
	return same;
}
