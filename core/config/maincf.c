/* maincf.c: the settings of main.cf: "name = value", last definition wins, origins kept.
 *
 * Values are kept as written; expand.c expands them when a view is asked.  Pure; no yield.  Source: postconf(5). */
#include <errno.h>
#include <string.h>

#include "config/private.h"

static const char space[] = " \t\r\v\f";

void ph_settings_init(struct ph_settings *s)
{
	memset(s, 0, sizeof(*s));
	s->last = &s->first;
}

/* A later definition takes the place of the earlier one in the list. */
const struct ph_setting *ph_settings_set(struct ph_settings *s, struct ph_arena *a, struct ph_setting *set)
{
	struct ph_setting *here = ph_htab_get(&s->by_name, set->name), *old;

	if (here) {
		old = ph_arena_alloc(a, sizeof(*old));
		*old = *here;
		*here = *set;
		here->next = old->next;
		return old;
	}
	ph_htab_put(&s->by_name, set->name, set);
	set->next = NULL;
	*s->last = set;
	s->last = &set->next;
	s->n++;
	return NULL;
}

const char *ph_setting_split(char *text, char **ret_name, char **ret_value)
{
	char *p, *name_end;

	text += strspn(text, space);
	if (*text == '=')
		return "the name in front of '=' is missing";
	name_end = text + strcspn(text, " \t\r\v\f=");
	p = name_end + strspn(name_end, space);
	if (*p != '=')
		return "there is no '=' behind the name; write \"name = value\"";
	*name_end = '\0';
	p++;
	p += strspn(p, space);
	*ret_name = text;
	*ret_value = p;
	for (name_end = p + strlen(p); name_end > p && strchr(space, name_end[-1]); )
		*--name_end = '\0';
	return NULL;
}

/* Postfix takes the first line's place for the value as joined: the newline goes, the leading space of the
 * continuation stays. */
int ph_maincf_parse(struct ph_config *c, const char *file, const char *text, size_t n, struct ph_err *err)
{
	struct ph_lines l;
	struct ph_setting *set;
	const struct ph_setting *old;
	const char *wrong;
	char *line, *name, *value;
	int rc, at = 0;

	ph_lines_init(&l, file, text, n);
	while ((rc = ph_lines_next(&l, &line, &at, err)) > 0) {
		wrong = ph_setting_split(line, &name, &value);
		if (wrong) {
			rc = ph_err_set(err, -EINVAL, "%s, line %d: %s: \"%.80s\"", file, at, wrong, line);
			goto out;
		}
		set = ph_arena_alloc(c->arena, sizeof(*set));
		set->name = ph_arena_strdup(c->arena, name);
		set->value = ph_arena_strdup(c->arena, value);
		set->file = file;
		set->line = at;
		set->origin = ph_arena_printf(c->arena, "%s:%d", file, at);
		old = ph_settings_set(&c->main, c->arena, set);
		if (old && strcmp(old->value, value) != 0)         /* the same once more overrides nothing */
			ph_config_note(c, file, at, "overriding earlier entry: %s=%s (line %d)", name, old->value, old->line);
	}
out:
	ph_lines_done(&l);
	return rc;
}
