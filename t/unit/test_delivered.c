/* The local agent's scan for Delivered-To: headers (modules/delivery/local/delivered.h). */
#include "tap.h"
#include "../../modules/delivery/local/delivered.h"

#include <string.h>

static struct delivered d;

/* The values, joined by '|'. */
static const char *scan(const char *text, size_t piece)
{
	static char out[4096];
	size_t n = strlen(text), at = 0;
	bool end = false;

	delivered_reset(&d);
	while (at < n && !end) {
		size_t k = n - at < piece ? n - at : piece;

		end = delivered_feed(&d, text + at, k);
		at += k;
	}
	delivered_end(&d);
	for (size_t i = 0; i < d.bytes; i++)
		out[i] = d.values[i] ? d.values[i] : '|';
	out[d.bytes] = '\0';
	return out;
}

int main(void)
{
	static char big[DELIVERED_VALUE_MAX + 100];

	for (size_t piece = 1; piece < 100; piece += 7) {
		tap_is(scan("Subject: x\nDelivered-To: a@b\n\nDelivered-To: no@b\n", piece), "a@b|", "a header, not the body");
		tap_is(scan("DELIVERED-TO : A@B.Test \nDelivered-to:c@d\n\n", piece), "a@b.test|c@d|", "case, blanks, several");
		tap_is(scan("Delivered-To:\n a@b\n\n", piece), "a@b|", "a folded one");
		tap_is(scan("X-Delivered-To: a@b\nDelivered-To-X: a@b\nDelivered: a@b\n\n", piece), "", "other names");
		tap_is(scan(" Delivered-To: a@b\nDelivered-To: c@d", piece), "c@d|", "a fold without a header; no end of line");
	}
	strcpy(big, "Delivered-To: ");
	memset(big + strlen(big), 'x', DELIVERED_VALUE_MAX + 50);
	strcat(big, "\n");
	tap_is(scan(big, 16), "", "too long for an address of ours");
	return tap_done();
}
