/* parts.c: see parts.h.  Each part: START, flag, then four fields that FIELD ends.  The fields are printable text, so neither byte is in them. */
#include "queue/parts.h"

#include <string.h>

#define START '\001'
#define FIELD '\037'

static bool field_ok(const char *s)
{
	return !strchr(s, START) && !strchr(s, FIELD);
}

void ph_parts_add(struct ph_buf *b, const struct ph_part *p)
{
	const char *diag = p->diag ? p->diag : "";

	if (field_ok(p->address) && field_ok(p->dsn) && field_ok(p->text) && field_ok(diag))
		(void)ph_buf_printf(b, "%c%c%s%c%s%c%s%c%s%c", START, p->anonymous ? 'a' : 'o', p->address, FIELD, p->dsn, FIELD, p->text, FIELD, diag, FIELD);
}

bool ph_parts_are(const char *diag)
{
	return diag && diag[0] == START;
}

bool ph_parts_next(const char **at, struct ph_arena *arena, struct ph_part *ret)
{
	const char *p = *at, *end, *field[4];

	if (p[0] != START || !p[1])
		return false;
	ret->anonymous = p[1] == 'a';
	p += 2;
	for (size_t i = 0; i < PH_ARRAY_LEN(field); i++, p = end + 1) {
		end = strchr(p, FIELD);
		if (!end)
			return false;           /* cut */
		field[i] = ph_arena_strndup(arena, p, (size_t)(end - p));
	}
	ret->address = field[0];
	ret->dsn = field[1];
	ret->text = field[2];
	ret->diag = *field[3] ? field[3] : NULL;
	*at = p;
	return true;
}
