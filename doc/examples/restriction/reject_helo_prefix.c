/* reject_helo_prefix.c: restriction "reject_helo_prefix": refuse clients whose HELO name begins with one of the words of
 * helo_prefix_list.  An example of a restriction module; see doc/modules.md.
 *
 * main.cf:  helo_prefix_list = dyn- dsl- localhost
 *           smtpd_helo_restrictions = reject_helo_prefix */
#include <posthouse/restriction.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct settings {
	const char *list;
	int code;
};

static const struct ph_param params[] = {
	PH_P_STR(struct settings, list, "helo_prefix_list", "", "beginnings of HELO names that reject_helo_prefix refuses"),
	PH_P_INT(struct settings, code, "helo_prefix_reject_code", "550", 400, 599, "the reply code of reject_helo_prefix"),
};

struct use {
	char *copy;             /* the words live in it */
	char **words;
	size_t n;
};

/* Once for each place where the restriction stands: do the parsing here, not for each session. */
static int helo_prepare(const struct ph_conf *conf, const void *settings, const char *arg, void **ret, struct ph_err *err)
{
	const struct settings *set = settings;
	struct use *u = ph_alloc(sizeof *u);
	char *cursor = u->copy = ph_strdup(set->list), *word;

	while ((word = ph_str_token(&cursor, PH_SEP_LIST)) != NULL) {
		u->words = ph_realloc(u->words, (u->n + 1) * sizeof u->words[0]);
		u->words[u->n++] = word;
	}
	*ret = u;
	return 0;
}

static struct ph_verdict helo_check(void *use, const void *settings, struct ph_session *s)
{
	const struct settings *set = settings;
	const char *helo = ph_session_helo(s);
	struct use *u = use;

	if (helo == NULL)               /* the client has not said HELO yet: no opinion */
		return ph_verdict_dunno();
	for (size_t i = 0; i < u->n; i++)
		if (ph_str_istarts(helo, u->words[i])) {
			ph_trace(s, "reject_helo_prefix: %s begins with %s", helo, u->words[i]);
			return ph_verdict_text(s, set->code < 500 ? PH_DEFER : PH_REJECT, set->code, set->code < 500 ? "4.7.1" : "5.7.1",
					       "<%s>: Helo command rejected: Access denied", helo);
		}
	return ph_verdict_dunno();
}

static void helo_release(void *use)
{
	struct use *u = use;

	free(u->words);
	free(u->copy);
	free(u);
}

static const struct ph_restriction_ops ops = {
	.size = sizeof ops, .n_args = 0, .prepare = helo_prepare, .check = helo_check, .release = helo_release,
};

PH_MODULE(PH_KIND_RESTRICTION, "reject_helo_prefix", "1.0", "refuse HELO names by their beginning", .ops.restriction = &ops,
	  PH_MODULE_PARAMS(params, struct settings));
