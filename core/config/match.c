/* match.c: match lists: patterns, "!" negation, /file, type:table; the first pattern that fits decides.
 *
 * A list is parsed once for a configuration and immutable afterwards.  A pattern that is wrong, a file that cannot be
 * read and a table that fails answer TEMPFAIL when they are reached, never "no match".  Yields when a table does.
 * Source: postconf(5): mynetworks, mydestination, relay_domains, debug_peer_list, parent_domain_matches_subdomains. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "config/cidr.h"
#include "config/private.h"
#include <posthouse/lookup.h>

enum { MAX_FILE_DEPTH = 16, MAX_PATTERNS = 1000000 };

enum kind { TEXT, NETWORK, TABLE, BAD };

struct pattern {
	enum kind kind;
	bool yes;                       /* what a fit means: false behind "!" */
	const char *text;               /* TEXT; TABLE and BAD: for messages */
	union {
		struct ph_cidr net;
		struct ph_maps *maps;
		const char *why;        /* BAD */
	};
};

struct ph_match {
	const struct ph_conf *conf;
	const char *title;
	unsigned flags;
	bool utf8;                      /* patterns are folded as UTF-8, names have to be, too */
	struct pattern *patterns;
	size_t n, cap;
};

static ph_match_trace_fn *trace;

void ph_match_set_trace(ph_match_trace_fn *fn)
{
	trace = fn;
}

/* ---- parsing ---- */

static struct pattern *add(struct ph_match *m, enum kind kind, bool yes, const char *text)
{
	struct ph_arena *a = m->conf->config->arena;
	struct pattern *p, *bigger;

	if (m->n == m->cap) {
		m->cap = m->cap ? m->cap * 2 : 8;
		bigger = ph_arena_alloc(a, m->cap * sizeof(*bigger));
		if (m->n)
			memcpy(bigger, m->patterns, m->n * sizeof(*bigger));
		m->patterns = bigger;
	}
	p = &m->patterns[m->n++];
	p->kind = kind;
	p->yes = yes;
	p->text = text;
	return p;
}

static void add_bad(struct ph_match *m, const char *text, const char *why)
{
	struct ph_arena *a = m->conf->config->arena;
	struct pattern *p = add(m, BAD, false, text);

	p->why = ph_arena_strdup(a, why);
	ph_log(PH_LOG_WARNING, "%s: %s: %s: \"%.100s\"", ph_setting_where(m->conf, m->title, a), m->title, p->why, text);
}

static void parse(struct ph_match *m, char *text, bool yes, int depth);

static void parse_file(struct ph_match *m, const char *path, bool yes, int depth)
{
	struct ph_arena *a = m->conf->config->arena;
	struct ph_lines lines;
	struct ph_buf content;
	struct ph_err err;
	char *line;
	int rc, at;

	if (depth >= MAX_FILE_DEPTH) {
		add_bad(m, path, "files are nested too deep");
		return;
	}
	ph_buf_init(&content, PH_MAX_CONFIG_BYTES);
	rc = ph_config_read_file(path, &content, &err);
	ph_lines_init(&lines, path, ph_buf_str(&content), rc < 0 ? 0 : content.len);
	while (rc >= 0 && (rc = ph_lines_next(&lines, &line, &at, &err)) > 0)
		parse(m, ph_arena_strdup(a, line), yes, depth + 1);
	if (rc < 0)
		add_bad(m, path, err.text);
	ph_lines_done(&lines);
	ph_buf_done(&content);
}

/* Something with a slash between digits and brackets can only be meant as a network. */
static bool looks_like_network(const char *s)
{
	if (*s == '[')
		return true;
	return s[strspn(s, "0123456789.")] == '/' || (*s && s[strspn(s, "0123456789.")] == '\0');
}

/* Letters beyond ASCII are folded here, once for all names. */
static void add_text(struct ph_match *m, const char *text, bool yes)
{
	if (m->utf8 && !ph_str_ascii(text))
		text = ph_str_fold(m->conf->config->arena, text, true);
	add(m, TEXT, yes, text);
}

static void parse_network(struct ph_match *m, const char *text, bool yes)
{
	struct ph_cidr net;
	struct ph_err err;

	if (ph_cidr_parse(text, &net, &err) == 0) {
		add(m, NETWORK, yes, text)->net = net;
	} else if (strpbrk(text, "[/:")) {
		add_bad(m, text, err.text);
	} else {
		add_text(m, text, yes);         /* "10": an odd name, but a name */
	}
}

static void parse_pattern(struct ph_match *m, char *text, bool yes, int depth)
{
	struct ph_ip ip;

	for (; *text == '!'; text++)
		yes = !yes;
	if (*text == '\0')
		add_bad(m, text, "there is no pattern behind '!'");
	else if (*text == '/')
		parse_file(m, text, yes, depth);
	else if ((m->flags & PH_MATCH_ADDR) && looks_like_network(text))
		parse_network(m, text, yes);
	else if ((m->flags & PH_MATCH_ADDR) && ph_ip_parse(text, &ip) == 0)
		parse_network(m, text, yes);
	else if (strchr(text, ':') && *text != '[')
		add(m, TABLE, yes, text)->maps = ph_maps_open(m->conf, m->title, text);
	else
		add_text(m, text, yes);
}

static void parse(struct ph_match *m, char *text, bool yes, int depth)
{
	char *word;

	while ((word = ph_str_token(&text, PH_SEP_LIST))) {
		if (m->n >= MAX_PATTERNS) {
			add_bad(m, word, "too many patterns");
			return;
		}
		parse_pattern(m, word, yes, depth);
	}
}

/* Is title named in parent_domain_matches_subdomains? */
static bool parents_match(const struct ph_conf *conf, const char *title)
{
	const char *value = ph_conf_get(conf, "parent_domain_matches_subdomains");
	char *list = ph_strdup(value ? value : ""), *cursor = list, *word;
	bool found = false;

	while (!found && (word = ph_str_token(&cursor, PH_SEP_LIST)))
		found = strcmp(word, title) == 0;
	free(list);
	return found;
}

struct ph_match *ph_match_open(const struct ph_conf *conf, const char *title, const char *text, unsigned flags)
{
	struct ph_arena *a = conf->config->arena;
	struct ph_buf key = PH_BUF_INIT(SIZE_MAX / 2);
	struct ph_match *m;

	if (parents_match(conf, title))
		flags |= PH_MATCH_PARENT;
	/* Not in the configuration's arena, which lives on: lists are asked for again and again. */
	ph_buf_printf(&key, "match %s %u %s", title, flags, text);
	m = ph_conf_attach_get(conf, ph_buf_str(&key));
	if (!m) {
		m = ph_arena_alloc(a, sizeof(*m));
		m->conf = conf;
		m->title = ph_arena_strdup(a, title);
		m->flags = flags;
		m->utf8 = ph_conf_utf8(conf);
		parse(m, ph_arena_strdup(a, text), true, 0);
		ph_conf_attach_set(conf, ph_buf_str(&key), m, NULL);
	}
	ph_buf_done(&key);
	return m;
}

const char *ph_match_problem(const struct ph_match *m)
{
	size_t i;

	for (i = 0; i < m->n; i++) {
		if (m->patterns[i].kind == BAD)
			return m->patterns[i].why;
	}
	return NULL;
}

/* ---- matching ---- */

static bool text_fits(const struct ph_match *m, const char *pattern, const char *name, const char *address)
{
	if (name && (m->flags & (PH_MATCH_DOMAIN | PH_MATCH_PARENT))) {
		if (ph_domain_match(pattern, name, m->flags & PH_MATCH_PARENT))
			return true;
	}
	if (name && (m->flags & PH_MATCH_STRING) && ph_str_ieq(pattern, name))
		return true;
	return address && (m->flags & PH_MATCH_ADDR) && ph_str_ieq(pattern, address);
}

/* Whole name, then its parents: "b.c" when parents match as they are, ".b.c" otherwise. */
static enum ph_lookup find_domain(const struct ph_match *m, struct ph_maps *maps, const char *name, struct ph_arena *a, struct ph_err *err)
{
	bool dots = !(m->flags & PH_MATCH_PARENT);
	enum ph_lookup rc;
	const char *value;

	rc = ph_maps_find(maps, name, false, a, &value, err);
	while (rc == PH_LOOKUP_NOTFOUND && (name = strchr(name + 1, '.'))) {
		if (name[1] == '\0')
			break;
		rc = ph_maps_find(maps, dots ? name : name + 1, true, a, &value, err);
	}
	return rc;
}

static enum ph_lookup find_table(const struct ph_match *m, struct ph_maps *maps, const char *name, const char *address, struct ph_err *err)
{
	struct ph_arena *a = ph_arena_new();
	enum ph_lookup rc = PH_LOOKUP_NOTFOUND;
	const char *value;
	char *folded;

	if (name && *name) {
		folded = ph_str_fold(a, name, m->utf8);
		if (m->flags & (PH_MATCH_DOMAIN | PH_MATCH_PARENT))
			rc = find_domain(m, maps, folded, a, err);
		else if (m->flags & PH_MATCH_STRING)
			rc = ph_maps_find(maps, folded, false, a, &value, err);
	}
	if (rc == PH_LOOKUP_NOTFOUND && address && (m->flags & PH_MATCH_ADDR))
		rc = ph_maps_find(maps, address, false, a, &value, err);
	ph_arena_free(&a);
	return rc;
}

/* Does the pattern fit?  FOUND, NOTFOUND, TEMPFAIL. */
static enum ph_lookup fits(const struct ph_match *m, const struct pattern *p, const char *name, const char *address,
			   const struct ph_ip *ip, struct ph_err *err)
{
	enum ph_lookup rc;

	switch (p->kind) {
	case TEXT:
		return text_fits(m, p->text, name, address) ? PH_LOOKUP_FOUND : PH_LOOKUP_NOTFOUND;
	case NETWORK:
		return ip->n && ph_cidr_match(&p->net, ip) ? PH_LOOKUP_FOUND : PH_LOOKUP_NOTFOUND;
	case TABLE:
		rc = find_table(m, p->maps, name, address, err);
		return rc == PH_LOOKUP_PERMERR ? PH_LOOKUP_TEMPFAIL : rc;
	case BAD:
		ph_err_set(err, -EINVAL, "%s: %s", m->title, p->why);
		return PH_LOOKUP_TEMPFAIL;
	}
	return PH_LOOKUP_TEMPFAIL;
}

static enum ph_lookup find(struct ph_match *m, const char *name, const char *address, struct ph_err *err)
{
	struct ph_ip ip = { .n = 0 };
	enum ph_lookup rc;
	size_t i;

	if (address && ph_ip_parse(address, &ip) < 0)
		ip.n = 0;
	for (i = 0; i < m->n; i++) {
		rc = fits(m, &m->patterns[i], name, address, &ip, err);
		if (rc == PH_LOOKUP_NOTFOUND)
			continue;
		if (rc == PH_LOOKUP_FOUND && !m->patterns[i].yes)
			rc = PH_LOOKUP_NOTFOUND;
		if (trace)
			trace(m->title, name, address, m->patterns[i].text, rc);
		return rc;
	}
	if (trace && m->n > 0)
		trace(m->title, name, address, NULL, PH_LOOKUP_NOTFOUND);
	return PH_LOOKUP_NOTFOUND;
}

enum ph_lookup ph_match_find(struct ph_match *m, const char *name, const char *address, struct ph_err *err)
{
	struct ph_arena *a = name && m->utf8 && !ph_str_ascii(name) ? ph_arena_new() : NULL;
	enum ph_lookup rc;

	if (a)
		name = ph_str_fold(a, name, true);
	rc = find(m, name, address, err);
	ph_arena_free(&a);
	return rc;
}
