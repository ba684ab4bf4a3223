/* weekday.c: lookup "weekday:{mon tue}": the answer is "yes" for every key on
 * those days, and none on others.  An example of a look-up module; see doc/modules.md.
 *
 * main.cf:  smtpd_client_restrictions = check_client_access pipemap:{weekday:{sat sun}, inline:{yes=450 closed at weekends}} */
#include <posthouse/lookup.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static const char *const names[7] = { "sun", "mon", "tue", "wed", "thu", "fri", "sat" };

struct table {
	bool on[7];             /* on which days the table answers */
};

/* The name holds the table itself: no file, so nothing can be missing but what is wrong with the text.  -EINVAL makes the core
 * answer "server configuration problem" wherever the table is used. */
static int weekday_open(const struct ph_table_spec *spec, void **ret, struct ph_err *err)
{
	struct table *t = ph_alloc(sizeof *t);
	char *copy = ph_strdup(spec->name), *cursor = ph_str_unbrace(copy), *word;
	int r = 0, day;

	while (r == 0 && (word = ph_str_token(&cursor, PH_SEP_LIST)) != NULL) {
		for (day = 0; day < 7 && !ph_str_ieq(word, names[day]); day++)
			;
		if (day == 7)
			r = ph_err_set(err, -EINVAL, "\"%.20s\" is no day: need mon, tue ...", word);
		else
			t->on[day] = true;
	}
	free(copy);
	if (r < 0)
		free(t);
	else
		*ret = t;
	return r;
}

static enum ph_lookup weekday_get(void *table, const char *key, struct ph_arena *arena, const char **ret_value, struct ph_err *err)
{
	struct table *t = table;
	time_t now = (time_t)(ph_wall_us() / 1000000);
	struct tm tm;

	localtime_r(&now, &tm);
	if (!t->on[tm.tm_wday])
		return PH_LOOKUP_NOTFOUND;
	*ret_value = "yes";
	return PH_LOOKUP_FOUND;
}

static const struct ph_lookup_ops ops = {
	.size = sizeof ops, .flags = PH_LOOKUP_INLINE,
	.open = weekday_open, .get = weekday_get, .close = free,
};

PH_MODULE(PH_KIND_LOOKUP, "weekday", "1.0", "answers on some days of the week only", .ops.lookup = &ops);
