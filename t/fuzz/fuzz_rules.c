/* regexp, pcre and cidr tables: the first byte chooses the type, the text up to a NUL byte is the table, the rest a key. */
#include <posthouse/lookup.h>
#include "base/log.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

extern const struct ph_module ph_module_regexp, ph_module_pcre, ph_module_cidr, ph_module_texthash, ph_module_inline;
static const struct ph_module *const types[] = { &ph_module_regexp, &ph_module_pcre, &ph_module_cidr, &ph_module_texthash,
	&ph_module_inline };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	static char path[64];
	const struct ph_module *m;
	struct ph_table_spec spec = { .mode = PH_TABLE_READ };
	struct ph_err err = { 0 };
	const char *value;
	char *text, *key;
	size_t len;
	void *table;
	FILE *f;

	if (n < 2)
		return 0;
	if (path[0] == '\0') {
		struct ph_log_config quiet = { .prog = "fuzz", .maillog_file = "/dev/null" };

		ph_log_open(&quiet);
		snprintf(path, sizeof path, "/tmp/ph-fuzz-rules.%d", (int)getpid());
		for (size_t i = 0; i < PH_ARRAY_LEN(types); i++)
			if (types[i]->init && types[i]->init(&err) < 0)
				abort();
	}
	m = types[data[0] % PH_ARRAY_LEN(types)];
	text = ph_strndup((const char *)data + 1, n - 1);
	len = strlen(text);
	key = len + 2 < n ? ph_strndup((const char *)data + len + 2, n - len - 2) : ph_strdup("10.1.2.3");
	if (strlen(key) > 200)
		key[200] = '\0';                /* regexec of a long key is slow, not wrong */
	spec.type = m->name;
	spec.name = text[0] == '{' ? text : path;
	if (spec.name == path) {
		f = fopen(path, "wb");
		if (f == NULL || fwrite(text, 1, len, f) != len)
			abort();
		fclose(f);
	}
	if (m->ops.lookup->open(&spec, &table, &err) == 0) {
		struct ph_arena *a = ph_arena_new();

		if (*key && m->ops.lookup->get(table, key, a, &value, &err) == PH_LOOKUP_FOUND && strlen(value) > (1 << 20))
			abort();
		m->ops.lookup->close(table);
		ph_arena_free(&a);
	}
	if (spec.name == path)
		unlink(path);
	free(text);
	free(key);
	return 0;
}
