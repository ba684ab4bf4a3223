/* Right-hand sides of TLS policy tables: any text; and names of hosts against their patterns. */
#include <stdlib.h>
#include <string.h>

#include "../../modules/delivery/smtp/policy_text.c"        /* pure; part of a module, not of the core */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void check(const struct smtp_policy_text *p, size_t bytes)
{
	size_t i;

	if (p->level < SMTP_TLS_NONE || p->level > SMTP_TLS_SECURE || p->n_patterns + p->n_ignored > bytes)
		abort();
	if (p->match && p->level < SMTP_TLS_FINGERPRINT)
		abort();
	for (i = 0; i < p->n_patterns; i++) {
		if (strpbrk(p->patterns[i], " \t\r\n{}") || strcmp(p->patterns[i], "*") == 0)
			abort();
		if (p->patterns[i][0] != '*' && !smtp_policy_names(p, p->patterns[i]))
			abort();
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct ph_arena *arena = ph_arena_new();
	char *text = ph_arena_strndup(arena, (const char *)data, n), *host = strchr(text, '|');
	struct smtp_policy_text p;
	struct ph_err err;

	if (host)
		*host++ = '\0';
	if (smtp_policy_parse(text, arena, &p, &err) == 0) {
		check(&p, n);
		(void)smtp_policy_names(&p, host ? host : "mx.example.com");
	}
	ph_arena_free(&arena);
	return 0;
}
