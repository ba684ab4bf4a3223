/* DNS answers: any bytes, any type.  First two bytes of the input: the type. */
#include <stdlib.h>
#include <string.h>

#include "net/dns_wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	static const int types[] = { PH_DNS_A, PH_DNS_MX, PH_DNS_TXT, PH_DNS_PTR, PH_DNS_SRV, PH_DNS_AAAA, PH_DNS_TLSA, PH_DNS_NS };
	struct ph_arena *arena = ph_arena_new();
	struct ph_dns_answer ans;
	unsigned dropped, bad;
	size_t i;

	if (n > 0) {
		ph_dns_wire_parse(data + 1, n - 1, "a.b", types[data[0] % 8], arena, &ans, &dropped, &bad);
		for (i = 0; i < ans.n; i++) {
			if (strlen(ans.rr[i].name) >= PH_DNS_NAME_MAX)
				abort();
		}
	}
	ph_arena_free(&arena);
	return 0;
}
