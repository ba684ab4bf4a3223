/* parts.c: see parts.h.  Each part: START, a letter, then fields that FIELD ends: address, dsn, text, diagnostic, then the server when there is
 * one, and the route when it is pending; none when it was sent.  The fields are printable text, so neither byte is in them. */
#include "queue/parts.h"

#include <string.h>

#define START '\001'
#define FIELD '\037'
#define PENDING "\001p"
#define DSN_MAX 11              /* bytes of the longest status code */

static bool field_ok(const char *s)
{
	return !strchr(s, START) && !strchr(s, FIELD);
}

static char letter_of(const struct ph_part *p)
{
	switch (p->state) {
	case PH_PART_BOUNCED: return p->anonymous ? 'a' : p->mta ? 'm' : 'o';
	case PH_PART_TOLD: return 't';
	case PH_PART_PENDING: return 'p';
	case PH_PART_SENT: return 's';
	case PH_PART_RELAYED: return 'd';
	case PH_PART_EXPANDED: return 'x';
	}
	return 's';
}

static bool part_ok(const struct ph_part *p)
{
	return field_ok(p->address) && field_ok(p->dsn) && field_ok(p->text) && (!p->diag || field_ok(p->diag)) && (!p->mta || field_ok(p->mta)) &&
	       (!p->route || field_ok(p->route));
}

void ph_parts_add(struct ph_buf *b, const struct ph_part *p)
{
	const char *diag = p->diag ? p->diag : "", *mta = p->mta ? p->mta : "";
	char letter = letter_of(p);

	if (!part_ok(p))
		return;
	if (strchr("sdxt", letter))
		(void)ph_buf_printf(b, "%c%c", START, letter);
	else if (letter == 'p')
		(void)ph_buf_printf(b, "%c%c%s%c%s%c%s%c%s%c%s%c%s%c", START, letter, p->address, FIELD, p->dsn, FIELD, p->text, FIELD, diag, FIELD, mta, FIELD,
				    p->route, FIELD);
	else if (letter == 'm')
		(void)ph_buf_printf(b, "%c%c%s%c%s%c%s%c%s%c%s%c", START, letter, p->address, FIELD, p->dsn, FIELD, p->text, FIELD, diag, FIELD, mta, FIELD);
	else
		(void)ph_buf_printf(b, "%c%c%s%c%s%c%s%c%s%c", START, letter, p->address, FIELD, p->dsn, FIELD, p->text, FIELD, diag, FIELD);
}

bool ph_parts_are(const char *diag)
{
	return diag && diag[0] == START;
}

bool ph_parts_pending(const char *diag)
{
	return ph_parts_are(diag) && strstr(diag, PENDING);
}

bool ph_parts_bounced(const char *diag)
{
	return ph_parts_are(diag) && (strstr(diag, "\001o") || strstr(diag, "\001a") || strstr(diag, "\001m"));
}

bool ph_parts_expanded(const char *diag)
{
	return ph_parts_are(diag) && strstr(diag, PH_PARTS_EXPANDED);
}

static bool state_of(char letter, struct ph_part *ret, size_t *ret_fields)
{
	static const struct { char letter; enum ph_part_state state; size_t fields; } kinds[] = {
		{ 'o', PH_PART_BOUNCED, 4 }, { 'a', PH_PART_BOUNCED, 4 }, { 'm', PH_PART_BOUNCED, 5 }, { 'p', PH_PART_PENDING, 6 }, { 's', PH_PART_SENT, 0 }, { 'd', PH_PART_RELAYED, 0 },
		{ 'x', PH_PART_EXPANDED, 0 }, { 't', PH_PART_TOLD, 0 },
	};

	for (size_t i = 0; i < PH_ARRAY_LEN(kinds); i++) {
		if (kinds[i].letter != letter)
			continue;
		ret->state = kinds[i].state;
		ret->anonymous = letter == 'a';
		*ret_fields = kinds[i].fields;
		return true;
	}
	return false;
}

bool ph_parts_next(const char **at, struct ph_arena *arena, struct ph_part *ret)
{
	const char *p = *at, *end, *field[6] = { "", "", "", "", "", "" };
	size_t fields;

	if (p[0] != START || !state_of(p[1], ret, &fields))
		return false;
	p += 2;
	for (size_t i = 0; i < fields; i++, p = end + 1) {
		end = strchr(p, FIELD);
		if (!end)
			return false;           /* cut */
		field[i] = ph_arena_strndup(arena, p, (size_t)(end - p));
	}
	ret->address = field[0];
	ret->dsn = field[1];
	ret->text = field[2];
	ret->diag = *field[3] ? field[3] : NULL;
	ret->mta = *field[4] ? field[4] : NULL;
	ret->route = field[5];
	*at = p;
	return true;
}

struct ph_parts ph_parts_read(const char *diag, struct ph_arena *arena)
{
	struct ph_parts list = { NULL, 0 };
	const char *at = diag;
	size_t cap = 0;

	if (!ph_parts_are(diag))
		return list;
	for (const char *p = diag; *p; p++)
		cap += *p == START;
	list.part = ph_arena_alloc(arena, cap * sizeof(*list.part));
	while (list.n < cap && ph_parts_next(&at, arena, &list.part[list.n]))
		list.n++;
	return list;
}

/* With texts and diagnostics of at most text_max bytes.  NULL: too long. */
static const char *write_cut(const struct ph_parts *parts, struct ph_arena *arena, size_t text_max)
{
	struct ph_buf b = PH_BUF_INIT(64 * 1024);
	const char *text = NULL;
	size_t room = 0;

	for (size_t i = 0; i < parts->n; i++) {
		struct ph_part p = parts->part[i];
		size_t before = b.len;

		if (strlen(p.text) > text_max)
			p.text = ph_arena_strndup(arena, p.text, text_max);
		if (p.diag && strlen(p.diag) > text_max)
			p.diag = NULL;
		if (p.mta && strlen(p.mta) > text_max)
			p.mta = NULL;
		ph_parts_add(&b, &p);
		if (b.len == before)
			goto out;               /* it cannot be written at all */
		/* A status code that it may yet get. */
		if (p.state == PH_PART_PENDING && strlen(p.dsn) < DSN_MAX)
			room += DSN_MAX - strlen(p.dsn);
	}
	if (b.len + room <= PH_PARTS_MAX)
		text = ph_arena_strdup(arena, ph_buf_str(&b));
out:
	ph_buf_done(&b);
	return text;
}

const char *ph_parts_write(const struct ph_parts *parts, struct ph_arena *arena)
{
	static const size_t text_max[] = { PH_PARTS_MAX, 200, 60, 0 };
	const char *text = NULL;

	for (size_t i = 0; !text && i < PH_ARRAY_LEN(text_max); i++)
		text = write_cut(parts, arena, text_max[i]);
	return text;
}

const char *ph_parts_settle(const char *diag, struct ph_arena *arena, const char *address, const char *route, enum ph_delivery_status status, bool relayed,
			    const struct ph_part *result)
{
	struct ph_parts list = ph_parts_read(diag, arena);

	for (size_t i = 0; i < list.n; i++) {
		struct ph_part *p = &list.part[i];

		if (p->state != PH_PART_PENDING || strcmp(p->address, address) != 0 || strcmp(p->route, route) != 0)
			continue;
		p->dsn = result->dsn;
		p->text = result->text;
		p->diag = result->diag;
		p->mta = result->mta;
		if (status == PH_BOUNCED)
			p->state = PH_PART_BOUNCED;
		else if (status == PH_SENT)
			p->state = relayed ? PH_PART_RELAYED : PH_PART_SENT;
		if (strlen(p->dsn) > DSN_MAX || !part_ok(p)) {
			p->dsn = status == PH_BOUNCED ? "5.0.0" : "4.0.0";
			p->text = "";
			p->diag = p->mta = NULL;
		}
		return ph_parts_write(&list, arena);
	}
	return NULL;
}

const char *ph_parts_told(const char *diag, struct ph_arena *arena, const char *address)
{
	struct ph_parts list = ph_parts_read(diag, arena);
	struct ph_part *bounced = NULL, *waits = NULL;
	size_t n_waits = 0, n_pending = 0;

	for (size_t i = 0; i < list.n; i++) {
		struct ph_part *p = &list.part[i];
		bool it = strcmp(p->address, address) == 0;

		n_pending += p->state == PH_PART_PENDING;
		if (it && p->state == PH_PART_BOUNCED && !bounced)
			bounced = p;
		if (it && p->state == PH_PART_PENDING) {
			waits = p;
			n_waits++;
		}
	}
	if (!bounced && (n_waits != 1 || n_pending < 2))
		return NULL;
	(bounced ? bounced : waits)->state = PH_PART_TOLD;
	return ph_parts_write(&list, arena);
}

struct ph_slice ph_part_key(struct ph_arena *arena, const char *address, const char *route)
{
	size_t an = strlen(address) + 1, rn = strlen(route);
	char *key = ph_arena_alloc(arena, an + rn + 1);

	memcpy(key, address, an);
	memcpy(key + an, route, rn + 1);
	return (struct ph_slice){ key, an + rn };
}

void ph_part_key_read(struct ph_slice key, struct ph_arena *arena, const char **ret_address, const char **ret_route)
{
	const char *nul = key.n ? memchr(key.p, '\0', key.n) : NULL;
	size_t n = nul ? (size_t)(nul - key.p) : key.n;

	*ret_address = ph_arena_strndup(arena, n ? key.p : "", n);
	*ret_route = nul ? ph_arena_strndup(arena, nul + 1, key.n - n - 1) : "";
}

unsigned ph_parts_notify(unsigned notify)
{
	if (!(notify & PH_NOTIFY_SUCCESS))
		return notify;
	notify &= ~(unsigned)PH_NOTIFY_SUCCESS;
	return notify ? notify : PH_NOTIFY_NEVER;
}
