/* mastercf.c: any bytes as master.cf: parsed, every service's settings expanded. */
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "config/private.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct ph_log_config log = { .prog = "fuzz", .maillog_file = "/dev/null" };
	static bool ready;
	const struct ph_service *all;
	const struct ph_setting *set;
	struct ph_config *c;
	struct ph_err err;
	const char *value;
	size_t i, n;

	if (!ready) {
		ready = true;
		ph_log_open(&log);
	}
	c = ph_config_empty(".", PH_CONFIG_QUIET);
	if (ph_mastercf_parse(c, "master.cf", (const char *)data, size, &err) == 0) {
		all = ph_config_services(c, &n);
		for (i = 0; i < n; i++) {
			for (set = all[i].conf->overrides.first; set; set = set->next)
				ph_conf_value(all[i].conf, set->name, &value, &err);
			ph_conf_service_param(all[i].conf, all[i].name, "destination_recipient_limit", "default_destination_recipient_limit");
			ph_assert(ph_config_service(c, all[i].name, all[i].type) == &all[i]);
		}
	}
	ph_config_free(&c);
	return 0;
}
