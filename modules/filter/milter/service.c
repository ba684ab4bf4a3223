/* service.c: one entry of a list of milters: where it is, and its own time limits, protocol and default action.  Does not yield.
 * "inet:host:port", "inet6:host:port", "unix:/path", "local:/path", or "{ inet:host:port, name=value ... }". */
#include "milter.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static int parse_action(const char *text, enum milter_action *ret)
{
	static const struct { const char *name; enum milter_action a; } actions[] = {
		{ "accept", MILTER_DO_ACCEPT }, { "reject", MILTER_DO_REJECT }, { "tempfail", MILTER_DO_TEMPFAIL },
		{ "quarantine", MILTER_DO_QUARANTINE }, { "shutdown", MILTER_DO_SHUTDOWN },
	};

	for (size_t i = 0; i < PH_ARRAY_LEN(actions); i++)
		if (ph_str_ieq(text, actions[i].name)) {
			*ret = actions[i].a;
			return 0;
		}
	*ret = MILTER_DO_CONFIG;
	return -EINVAL;
}

/* "6", "6, no_header_reply". */
static void parse_protocol(struct milter_service *s, const char *text)
{
	char **words = milter_words(text);
	int64_t n;

	s->version = 0;
	s->no_header_reply = false;
	free(s->bad_protocol);
	s->bad_protocol = ph_strdup(text);
	for (char **w = words; *w; w++) {
		if (ph_str_ieq(*w, "no_header_reply")) {
			s->no_header_reply = true;
		} else if (ph_str_int64(*w, 2, 6, &n) == 0 && n != 5) {
			s->version = (unsigned)n;
		} else {
			s->version = 0;
			break;
		}
	}
	milter_words_free(words);
}

static int parse_time(const char *text, int64_t *ret_ms)
{
	static const struct { char unit; int64_t seconds; } units[] = { { 's', 1 }, { 'm', 60 }, { 'h', 3600 }, { 'd', 86400 }, { 'w', 604800 } };
	size_t n = strspn(text, "0123456789");
	char number[20];
	int64_t v, factor = text[n] ? 0 : 1;

	for (size_t i = 0; text[n] && !text[n + 1] && i < PH_ARRAY_LEN(units); i++)
		if (units[i].unit == (text[n] | 32))
			factor = units[i].seconds;
	if (!n || n >= sizeof(number) || !factor)
		return -EINVAL;
	memcpy(number, text, n);
	number[n] = '\0';
	if (ph_str_int64(number, 1, 100000000, &v) < 0 || v > 1000000000 / factor)
		return -EINVAL;
	*ret_ms = v * factor * 1000;
	return 0;
}

static int parse_endpoint(struct milter_service *s, const struct ph_conf *conf, const char *text, struct ph_err *err)
{
	const char *colon = strchr(text, ':'), *host, *port;
	size_t n;

	if (!colon)
		goto bad;
	host = colon + 1;
	if (strncmp(text, "unix:", 5) == 0 || strncmp(text, "local:", 6) == 0) {
		s->family = AF_UNIX;
		s->path = ph_strdup(host);
		return *host ? 0 : ph_err_set(err, -EINVAL, "milter %s: no path", text);
	}
	if (strncmp(text, "inet:", 5) == 0)
		s->family = AF_UNSPEC;
	else if (strncmp(text, "inet6:", 6) == 0)
		s->family = AF_INET6;
	else
		goto bad;
	port = strrchr(host, ':');
	s->port = port ? ph_conf_tcp_port(conf, port + 1) : 0;   /* only while the configuration is read */
	if (!s->port)
		return ph_err_set(err, -EINVAL, "milter %s: need host:port", text);
	n = (size_t)(port - host);
	if (n >= 2 && host[0] == '[' && host[n - 1] == ']') {
		host++;
		n -= 2;
	}
	s->host = n ? ph_strndup(host, n) : ph_strdup("127.0.0.1");
	return 0;
bad:
	return ph_err_set(err, -EINVAL, "bad transport type in milter \"%s\": need inet:, inet6:, unix: or local:", text);
}

static int parse_option(struct milter_service *s, char *word, struct ph_err *err)
{
	char *inner = ph_str_unbrace(word), *eq = strchr(inner, '='), *value, *end;
	int r = -EINVAL;

	if (!eq)
		return ph_err_set(err, -EINVAL, "milter %s: need name=value, not \"%s\"", s->name, inner);
	value = eq + 1 + strspn(eq + 1, " \t");
	for (end = eq; end > inner && (end[-1] == ' ' || end[-1] == '\t'); end--)
		;
	*end = '\0';
	if (strcmp(inner, "connect_timeout") == 0)
		r = parse_time(value, &s->connect_ms);
	else if (strcmp(inner, "command_timeout") == 0)
		r = parse_time(value, &s->command_ms);
	else if (strcmp(inner, "content_timeout") == 0)
		r = parse_time(value, &s->content_ms);
	else if (strcmp(inner, "default_action") == 0)
		r = parse_action(value, &s->action);
	else if (strcmp(inner, "protocol") == 0) {
		parse_protocol(s, value);
		r = s->version ? 0 : -EINVAL;
	} else {
		return ph_err_set(err, -EINVAL, "milter %s: unknown setting \"%s\"", s->name, inner);
	}
	return r < 0 ? ph_err_set(err, r, "milter %s: bad %s: \"%s\"", s->name, inner, value) : 0;
}

/* "name=value, {name = value with blanks}": pairs. */
static char **parse_defaults(const char *text)
{
	char *copy = ph_strdup(text), *cursor = copy, *w;
	char **list = ph_alloc(sizeof(*list));
	size_t n = 0;

	while ((w = ph_str_token(&cursor, PH_SEP_LIST))) {
		char *p = ph_str_unbrace(w), *eq = strchr(p, '='), *end;

		if (!eq || eq == p) {
			ph_log(PH_LOG_WARNING, "malformed default macro entry: \"%s\" in \"%s\"", p, text);
			continue;
		}
		for (end = eq; end > p && (end[-1] == ' ' || end[-1] == '\t'); end--)
			;
		*end = '\0';
		if (*p == '{' && end[-1] == '}' && end - p > 2) {
			end[-1] = '\0';
			p++;
		}
		list = ph_realloc(list, (n + 3) * sizeof(*list));
		list[n++] = ph_strdup(p);
		list[n++] = ph_strdup(eq + 1 + strspn(eq + 1, " \t"));
		list[n] = NULL;
	}
	free(copy);
	return list;
}

int milter_service_new(const struct ph_conf *conf, const struct milter_settings *set, const char *entry, struct milter_service **ret, struct ph_err *err)
{
	struct milter_service *s = ph_alloc(sizeof(*s));
	char *copy = ph_strdup(entry), *cursor, *word;
	int r;

	s->set = set;
	s->connect_ms = set->connect_ms;
	s->command_ms = set->command_ms;
	s->content_ms = set->content_ms;
	parse_protocol(s, set->protocol);
	if (parse_action(set->default_action, &s->action) < 0)
		ph_log(PH_LOG_WARNING, "milter_default_action: unrecognized action: %s", set->default_action);
	for (int i = 0; i < MILTER_STAGE_COUNT; i++)
		s->macros[i] = milter_words(set->macros[i]);
	s->defaults = parse_defaults(set->macro_defaults);
	cursor = ph_str_unbrace(copy);
	word = ph_str_token(&cursor, PH_SEP_LIST);
	s->name = ph_strdup(word ? word : "");
	r = word ? parse_endpoint(s, conf, word, err) : ph_err_set(err, -EINVAL, "empty milter definition: \"%s\"", entry);
	while (r == 0 && (word = ph_str_token(&cursor, PH_SEP_LIST)))
		r = parse_option(s, word, err);
	free(copy);
	if (r < 0)
		milter_service_free(s);
	else
		*ret = s;
	return r;
}

void milter_service_free(struct milter_service *s)
{
	if (!s)
		return;
	for (int i = 0; i < MILTER_STAGE_COUNT; i++)
		milter_words_free(s->macros[i]);
	milter_words_free(s->defaults);
	free(s->name);
	free(s->host);
	free(s->path);
	free(s->bad_protocol);
	free(s);
}
