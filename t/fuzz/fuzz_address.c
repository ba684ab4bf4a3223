/* Address text: SMTP paths, header lists, quoting.  What was parsed and quoted must parse to the same again. */
#include <stdlib.h>
#include <string.h>

#include "message/header.h"
#include "route/hostname.h"
#include "route/route.h"
#include "route/token.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static const char *change(void *arg, const char *address)
{
	return ph_arena_printf(arg, "%s@x", address);
}

static void round_trip(struct ph_arena *arena, const char *internal)
{
	const char *ext = ph_arena_printf(arena, "<%s>", ph_address_quote(arena, internal)), *again;

	if (*internal && strlen(internal) < 900 && ph_address_parse_path(ext, strlen(ext), true, arena, &again, NULL, NULL) == 0 && strcmp(again, internal) != 0)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct ph_arena *arena = ph_arena_new();
	struct ph_buf out = PH_BUF_INIT(1 << 20);
	const char *text = ph_arena_strndup(arena, (const char *)data, n), *addr, *rest;
	struct ph_slice local;
	const char *domain;

	if (ph_address_parse_path((const char *)data, n, true, arena, &addr, &rest, NULL) == 0) {
		if (rest < (const char *)data || rest > (const char *)data + n || strlen(addr) > 2048)
			abort();
		round_trip(arena, addr);
		ph_address_split(addr, &local, &domain);
		ph_address_extension(local.p, local.n, "+-");
	}
	ph_addrlist_rewrite((const char *)data, n, 10240, arena, change, arena, &out);
	ph_hostname_valid(text, PH_HOST_UTF8);
	ph_hostliteral_valid(text);
	ph_header_value(text, n);
	if (ph_header_name(text, n) > n)
		abort();
	ph_buf_done(&out);
	ph_arena_free(&arena);
	return 0;
}
