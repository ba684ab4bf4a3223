/* Lines of Dovecot's auth server.  What the parser hands out must lie within the line, and names must be clean. */
#include "../../modules/sasl/dovecot/proto.h"
#include <stdlib.h>
#include <string.h>

static void within(const char *text, const char *line, size_t n)
{
	if (text && *text && (text < line || text + strlen(text) > line + n))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	const char *at = (const char *)data, *end = at + n, *nl;
	struct dovecot_reply r;

	for (; at < end; at = nl + 1) {
		nl = memchr(at, '\n', (size_t)(end - at));
		if (!nl)
			nl = end;
		size_t len = (size_t)(nl - at);
		char *line = ph_strndup(at, len);
		int type = dovecot_parse(line, &r);

		within(r.mech, line, len);
		within(r.data, line, len);
		within(r.user, line, len);
		within(r.reason, line, len);
		if (type == DOVECOT_OK && !*r.user)
			abort();
		if (type == DOVECOT_MECH && strpbrk(r.mech, " \r\n"))
			abort();
		free(line);
	}
	return 0;
}
