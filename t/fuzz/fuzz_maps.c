/* Lists of tables as main.cf writes them, tables within tables: with modules that are linked in (ph_static_modules).  The text up to a NUL byte
 * is the list, the rest a key.  Types that would open files are left out. */
#include "config/config.h"
#include "module/loader.h"
#include "base/log.h"
#include <posthouse/lookup.h>
#include <stdlib.h>
#include <string.h>

extern const struct ph_module ph_module_inline, ph_module_static, ph_module_unionmap, ph_module_pipemap, ph_module_randmap, ph_module_fail;
const struct ph_module *const ph_static_modules[] = { &ph_module_inline, &ph_module_static, &ph_module_unionmap, &ph_module_pipemap,
	&ph_module_randmap, &ph_module_fail, NULL };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct ph_log_config quiet = { .prog = "fuzz", .maillog_file = "/dev/null" };
	static bool ready;
	struct ph_config *config = NULL;
	struct ph_arena *a = ph_arena_new();
	struct ph_err err = { 0 };
	struct ph_maps *m;
	const char *value = NULL;
	char *text = ph_strndup((const char *)data, n), *key;
	size_t len = strlen(text);

	if (!ready) {
		ph_log_open(&quiet);
		ph_modules_init("/nonexistent");
		ready = true;
	}
	key = len + 1 < n ? ph_strndup((const char *)data + len + 1, n - len - 1) : ph_strdup("key");
	if (ph_config_parse("proxy_read_maps = proxy:static:x\n", "", &config, &err) < 0)
		abort();
	m = ph_maps_open(ph_config_main(config), "fuzz", text);
	if (ph_maps_find(m, key, false, a, &value, &err) == PH_LOOKUP_FOUND && (value[0] == '\0' || strpbrk(value, "\r\n")))
		abort();        /* what must not get through has got through */
	ph_config_free(&config);
	ph_arena_free(&a);
	free(text);
	free(key);
	return 0;
}
