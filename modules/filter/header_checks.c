/* header_checks.c: header_checks, mime_header_checks, nested_header_checks, and milter_header_checks.
 *
 * With the argument "milter" it looks at headers that filters add (milter_header_checks); else at those of the message as it comes in.
 * Owns its tables' handles and one object per message.  Yields where tables do.  Source: header_checks(5). */
#include "common/check.h"

#include <posthouse/module.h>

#include <stdlib.h>
#include <string.h>

#define NO_LIMIT ((size_t)-1)

struct settings { const char *header, *mime, *nested, *milter; };

static const struct ph_param params[] = {
	PH_P_STR(struct settings, header, "header_checks", "", "tables for the headers of messages"),
	PH_P_STR(struct settings, mime, "mime_header_checks", "$header_checks", "tables for MIME headers, of the message and of its parts"),
	PH_P_STR(struct settings, nested, "nested_header_checks", "$header_checks", "tables for the headers of attached messages"),
	PH_P_STR(struct settings, milter, "milter_header_checks", "", "tables for the headers that milters add"),
};

struct use { struct ph_maps *header, *mime, *nested; bool milter; };
struct object { struct use *use; struct check_msg *msg; };

static int prepare(const struct ph_conf *conf, const void *settings, const char *arg, void **ret, struct ph_err *err)
{
	const struct settings *s = settings;
	struct use *u = ph_alloc(sizeof(*u));

	if (strcmp(arg, "milter") == 0) {
		u->milter = true;
		u->header = u->mime = u->nested = ph_maps_open(conf, "milter_header_checks", s->milter);
	} else {
		u->header = ph_maps_open(conf, "header_checks", s->header);
		u->mime = ph_maps_open(conf, "mime_header_checks", s->mime);
		u->nested = ph_maps_open(conf, "nested_header_checks", s->nested);
	}
	ph_maps_allow_lines(u->header);
	ph_maps_allow_lines(u->mime);
	ph_maps_allow_lines(u->nested);
	*ret = u;
	return 0;
}

static void release(void *use)
{
	free(use);
}

static int open_object(void *use, struct ph_session *s, void **ret, struct ph_err *err)
{
	struct object *o = ph_alloc(sizeof(*o));

	o->use = use;
	o->msg = check_msg_new();
	*ret = o;
	return 0;
}

static void close_object(void *obj)
{
	struct object *o = obj;

	check_msg_free(o->msg);
	free(o);
}

static struct ph_verdict header(void *obj, struct ph_mail *m, enum ph_header_kind kind, const char *line, size_t n)
{
	struct object *o = obj;

	if (o->use->milter)
		return check_line(o->msg, m, o->use->header, "milter_header_checks", "milter-header", line, n, NO_LIMIT);
	switch (kind) {
	case PH_HEADER_MIME:
		return check_line(o->msg, m, o->use->mime, "mime_header_checks", "header", line, n, NO_LIMIT);
	case PH_HEADER_NESTED:
		return check_line(o->msg, m, o->use->nested, "nested_header_checks", "header", line, n, NO_LIMIT);
	case PH_HEADER_PRIMARY:
		break;
	}
	return check_line(o->msg, m, o->use->header, "header_checks", "header", line, n, NO_LIMIT);
}

static const struct ph_filter_ops ops = {
	.size = sizeof(ops), .prepare = prepare, .release = release, .open = open_object, .close = close_object, .header = header,
};

PH_MODULE(PH_KIND_FILTER, "header_checks", "1.0", "checks of message headers against tables", .ops.filter = &ops, PH_MODULE_PARAMS(params, struct settings));
