/* maincf.c: any bytes as main.cf: parsed, every value expanded, checked and matched.  Whatever the text, it must end soon, within
 * bounds, and without a fault. */
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "config/cidr.h"
#include "config/private.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void use_values(struct ph_config *c)
{
	const struct ph_conf *m = ph_config_main(c);
	const struct ph_general_settings *g;
	const struct ph_setting *set;
	const struct ph_param *p;
	struct ph_cidr cidr;
	const char *value;
	struct ph_err err;
	int64_t number;
	bool flag;

	for (set = c->main.first; set; set = set->next) {
		if (ph_conf_value(m, set->name, &value, &err) <= 0)
			continue;
		ph_parse_bool(value, &flag);
		ph_parse_time(value, 's', &number);
		ph_parse_level(value, &number);
		ph_cidr_parse(value, &cidr, &err);
		p = ph_param_find(set->name);
		if (p)
			ph_param_check(m, p, set->name, &err);
	}
	/* Resolving host names of inet_interfaces is not what we test. */
	if (ph_conf_setting(m, "inet_interfaces") == NULL)
		ph_conf_general_check(m, &g, &err);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct ph_log_config log = { .prog = "fuzz", .maillog_file = "/dev/null" };
	static bool ready;
	struct ph_config *c;
	struct ph_refs refs;
	struct ph_arena *a;
	struct ph_err err;

	if (!ready) {
		ready = true;
		ph_log_open(&log);
	}
	c = ph_config_empty(".", PH_CONFIG_QUIET);
	if (ph_maincf_parse(c, "main.cf", (const char *)data, size, &err) == 0) {
		a = ph_arena_new();
		ph_refs_main(&refs, c, a);
		use_values(c);
		ph_refs_done(&refs);
		ph_arena_free(&a);
	}
	ph_config_free(&c);
	return 0;
}
