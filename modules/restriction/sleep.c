/* sleep.c: wait for some seconds, then go on. */
#include <errno.h>
#include <posthouse/co.h>
#include <posthouse/module.h>
#include <posthouse/restriction.h>

#define SLEEP_MAX_S 3600

static int prepare(const struct ph_conf *conf, const void *settings, const char *arg, void **ret, struct ph_err *err)
{
	int64_t seconds;

	if (ph_str_int64(arg, 0, SLEEP_MAX_S, &seconds) < 0)
		return ph_err_set(err, -EINVAL, "must be followed by a number of seconds (0..%d), not \"%s\"", SLEEP_MAX_S, arg);
	*ret = (void *)(intptr_t)seconds;
	return 0;
}

static struct ph_verdict check(void *use, const void *settings, struct ph_session *s)
{
	ph_co_sleep(PH_SECONDS((int64_t)(intptr_t)use));
	return ph_verdict_dunno();
}

static const struct ph_restriction_ops ops = {
	.size = sizeof(ops),
	.n_args = 1,
	.prepare = prepare,
	.check = check,
};

PH_MODULE(PH_KIND_RESTRICTION, "sleep", "1.0", "wait for some seconds, then go on", .ops.restriction = &ops);
