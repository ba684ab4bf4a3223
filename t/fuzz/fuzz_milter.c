/* Packets of a filter: decoded twice from memory of the exact size; every string must end inside the packet.  Replies for the client: a code that
 * refuses. */
#include "../../modules/filter/milter/wire.h"
#include <stdlib.h>
#include <string.h>

static void inside(const char *s, const char *p, size_t n)
{
	if (s && *s && (s < p || s >= p + n || !memchr(s, '\0', (size_t)(p + n - s))))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct ph_arena *a = ph_arena_new();
	struct milter_reply r;
	struct milter_offer o;
	struct milter_smtp s;
	struct ph_err err;
	char *p = ph_alloc(n + 1);

	memcpy(p, data, n);
	p = ph_realloc(p, n ? n : 1);
	if (n && milter_reply_decode(p, n, &r, &err) == 0) {
		inside(r.s1, p, n);
		inside(r.s2, p, n);
		if (r.command == SMFIR_REPLYCODE && milter_smtp_parse(r.s1, a, &s) == 0 && (s.code < 400 || s.code > 599))
			abort();
	}
	if (milter_offer_decode(p, n, &o, &err) == 0)
		for (int i = 0; i < MILTER_STAGES; i++)
			inside(o.macros[i], p, n);
	free(p);
	ph_arena_free(&a);
	return 0;
}
