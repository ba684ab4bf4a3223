/* Table source text: logical lines, keys and values, inline tables, %-expansion. */
#include "../../modules/lookup/common/text.h"
#include "../../modules/lookup/common/cfg.h"
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct ltext *t = ltext_memory("fuzz", "fuzz", (const char *)data, n);
	char *line, *key, *value, *copy = ph_strndup((const char *)data, n);
	struct ph_buf b = PH_BUF_INIT(4096);
	struct ph_err err;
	int lineno;

	while ((line = ltext_next(t, &lineno)) != NULL) {
		char *format = ph_strdup(line);

		if (lcfg_check_format("x", format, &err) == 0)
			lcfg_expand(format, "user+ext@sub.example.com", line, &b);
		free(format);
		ltext_split(line, &key, &value);
	}
	ltext_free(&t);
	if (copy[0] == '{' && ltext_open("fuzz", copy, true, &t, &err) == 0) {
		while (ltext_next(t, &lineno))
			;
		ltext_free(&t);
	}
	ph_buf_done(&b);
	free(copy);
	return 0;
}
