/* The scan for Delivered-To: headers: the same values whether the message comes whole or byte by byte; each is bounded, lower case and ended. */
#include "../../modules/delivery/local/delivered.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	static struct delivered whole, pieces;
	const char *p = (const char *)data;
	bool end = false;

	delivered_reset(&whole);
	delivered_reset(&pieces);
	delivered_feed(&whole, p, n);
	delivered_end(&whole);
	for (size_t i = 0; i < n && !end; i++)
		end = delivered_feed(&pieces, p + i, 1);
	delivered_end(&pieces);
	if (whole.bytes != pieces.bytes || memcmp(whole.values, pieces.values, whole.bytes) != 0)
		abort();
	if (whole.bytes && whole.values[whole.bytes - 1])
		abort();
	for (size_t i = 0; i < whole.bytes; i++)
		if ((whole.values[i] >= 'A' && whole.values[i] <= 'Z') || whole.values[i] == '\n')
			abort();
	return 0;
}
