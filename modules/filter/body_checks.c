/* body_checks.c: body_checks: each line of the body, up to body_checks_size_limit bytes of each body segment.
 *
 * Owns its tables' handle and one object per message.  Yields where tables do.  Source: header_checks(5), "BODY CHECKS". */
#include "common/check.h"

#include <posthouse/module.h>

#include <stdlib.h>

struct settings { const char *body; int limit; };

static const struct ph_param params[] = {
	PH_P_STR(struct settings, body, "body_checks", "", "tables for the lines of message bodies"),
	PH_P_INT(struct settings, limit, "body_checks_size_limit", "51200", 1, 0, "bytes of a body segment that body_checks looks at"),
};

struct use { struct ph_maps *body; size_t limit; };
struct object { struct use *use; struct check_msg *msg; };

static int prepare(const struct ph_conf *conf, const void *settings, const char *arg, void **ret, struct ph_err *err)
{
	const struct settings *s = settings;
	struct use *u = ph_alloc(sizeof(*u));

	u->body = ph_maps_open(conf, "body_checks", s->body);
	ph_maps_allow_lines(u->body);
	u->limit = (size_t)s->limit;
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

/* A header of a part: a new segment begins behind it. */
static struct ph_verdict header(void *obj, struct ph_mail *m, enum ph_header_kind kind, const char *line, size_t n)
{
	struct object *o = obj;

	o->msg->segment = 0;
	return (struct ph_verdict){ .cls = PH_DUNNO };
}

static struct ph_verdict body(void *obj, struct ph_mail *m, const char *line, size_t n)
{
	struct object *o = obj;
	size_t left = o->use->limit > o->msg->segment ? o->use->limit - o->msg->segment : 0;

	if (!left)
		return (struct ph_verdict){ .cls = PH_DUNNO };
	o->msg->segment += n + 1;
	return check_line(o->msg, m, o->use->body, "body_checks", "body", line, n, left);
}

static const struct ph_filter_ops ops = {
	.size = sizeof(ops), .prepare = prepare, .release = release, .open = open_object, .close = close_object, .header = header, .body = body,
};

PH_MODULE(PH_KIND_FILTER, "body_checks", "1.0", "checks of message bodies against tables", .ops.filter = &ops, PH_MODULE_PARAMS(params, struct settings));
