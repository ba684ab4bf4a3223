/* refs.c: which names a configuration makes use of: $name in values, restriction classes, and the prefixes of table
 * parameters that are kept in main.cf ("ldap:foo" with foo_server_host).  Pure; no yield. */
#include <string.h>

#include "config/private.h"

static bool is_name(int c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

/* Every dollar with a name behind it counts, in whatever form; "$$" does not. */
static void scan_text(struct ph_refs *r, const char *text)
{
	const char *p = text, *start;

	while ((p = strchr(p, '$'))) {
		p++;
		if (*p == '$') {
			p++;
			continue;
		}
		if (*p == '{' || *p == '(')
			p++;
		p += strspn(p, " \t\r\n");
		for (start = p; is_name((unsigned char)*p); p++)
			;
		if (p > start)
			ph_htab_put(&r->names, ph_arena_strndup(r->arena, start, (size_t)(p - start)), r);
	}
}

/* "ldap:foo", "proxy:mysql:foo": foo, when it is not the name of a file. */
static void scan_tables(struct ph_refs *r, const char *text)
{
	static const char *const types[] = { "ldap:", "mysql:", "pgsql:", "sqlite:", "memcache:", "redis:" };
	const char *p, *name;
	size_t i, n;

	for (i = 0; i < PH_ARRAY_LEN(types); i++) {
		for (p = text; (p = strstr(p, types[i])); p = name + n) {
			name = p + strlen(types[i]);
			n = strcspn(name, " ,\t\r\n{}");
			if (n > 0 && *name != '/')
				ph_htab_put(&r->prefixes, ph_arena_strndup(r->arena, name, n), r);
		}
	}
}

static void scan_settings(struct ph_refs *r, const struct ph_setting *set)
{
	char *list, *word;

	for (; set; set = set->next) {
		scan_text(r, set->value);
		scan_tables(r, set->value);
		if (strcmp(set->name, "smtpd_restriction_classes") != 0)
			continue;
		list = ph_arena_strdup(r->arena, set->value);
		while ((word = ph_str_token(&list, PH_SEP_LIST)))
			ph_htab_put(&r->names, word, r);
	}
}

void ph_refs_main(struct ph_refs *r, const struct ph_config *c, struct ph_arena *a)
{
	size_t i;

	memset(r, 0, sizeof(*r));
	r->arena = a;
	scan_settings(r, c->main.first);
	for (i = 0; i < c->n_services; i++)
		scan_settings(r, c->services[i].conf->overrides.first);
}

void ph_refs_text(struct ph_refs *r, const char *text, struct ph_arena *a)
{
	memset(r, 0, sizeof(*r));
	r->arena = a;
	scan_text(r, text);
}

void ph_refs_done(struct ph_refs *r)
{
	ph_htab_done(&r->names);
	ph_htab_done(&r->prefixes);
}

bool ph_refs_has(const struct ph_refs *r, const char *name)
{
	const char *p;

	if (ph_htab_get(&r->names, name))
		return true;
	for (p = strchr(name, '_'); p; p = strchr(p + 1, '_')) {
		if (ph_htab_getn(&r->prefixes, name, (size_t)(p - name)))
			return true;
	}
	return false;
}
