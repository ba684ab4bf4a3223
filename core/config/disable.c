/* disable.c: master_service_disable: lines of master.cf that count as if they were not there.
 * A list of "type" and "name/type" (or, as in old configurations, "name.type"), with "!" in front of what is to stay; the first that fits decides.
 * Source: postconf(5). */
#include "config/private.h"
#include "config/general.h"

#include <string.h>

static bool fits(const char *word, const struct ph_service *s)
{
	const char *type = ph_service_type_name(s->type);
	size_t n = strlen(s->name);

	if (strcmp(word, type) == 0)
		return true;
	return strncmp(word, s->name, n) == 0 && (word[n] == '/' || word[n] == '.') && strcmp(word + n + 1, type) == 0;
}

static bool disabled(const char *list, const struct ph_service *s, struct ph_arena *arena)
{
	char *words = ph_arena_strdup(arena, list), *word;

	while ((word = ph_str_token(&words, PH_SEP_LIST))) {
		bool keep = *word == '!';

		if (fits(word + keep, s))
			return !keep;
	}
	return false;
}

void ph_config_drop_disabled(struct ph_config *c)
{
	const char *list = ph_conf_general(c->main_view)->master_service_disable;
	size_t n = 0;

	for (size_t i = 0; *list && i < c->n_services; i++)
		if (!disabled(list, &c->services[i], c->arena))
			c->services[n++] = c->services[i];
	if (*list)
		c->n_services = n;
}
