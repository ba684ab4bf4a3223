/* user_acl.c: authorized_submit_users and its like: may the real user do this?  Blocks.  Source: postconf(5). */
#include "cmd/cmd.h"
#include "base/loop.h"
#include "config/config.h"
#include <posthouse/lookup.h>

#include <errno.h>

struct question {
	struct ph_match *m;
	const char *name;
	enum ph_lookup answer;
	struct ph_err err;
};

static void ask(void *arg)
{
	struct question *q = arg;

	q->answer = ph_match_find(q->m, q->name, NULL, &q->err);
}

int ph_cmd_user_may(const struct ph_conf *conf, const char *parameter, struct ph_err *err)
{
	const char *list = ph_conf_get(conf, parameter);
	struct question q = { 0 };
	char name[256];

	if (ph_cmd_anybody(conf, parameter, "static:anyone"))
		return 1;
	q.name = ph_cmd_user_name(name, sizeof name);
	q.m = ph_match_open(conf, parameter, list, PH_MATCH_STRING);
	if (ph_run_blocking(ask, &q) < 0)
		return ph_err_set(err, -EIO, "%s: cannot be looked up", parameter);
	if (q.answer == PH_LOOKUP_TEMPFAIL || q.answer == PH_LOOKUP_PERMERR)
		return ph_err_set(err, -EAGAIN, "%s: %s", parameter, q.err.text);
	return q.answer == PH_LOOKUP_FOUND;
}
