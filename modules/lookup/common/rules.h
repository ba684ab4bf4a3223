/* rules.h: ordered rules with if/endif, as in regexp, pcre and cidr tables: the file, the nesting and the walk; the pattern
 * language is the caller's. */
#ifndef LOOKUP_COMMON_RULES_H
#define LOOKUP_COMMON_RULES_H

#include "text.h"
#include "template.h"

struct lrules;

struct lrules_lang {
	const char *what;               /* "regexp map" */
	/* Compile what stands between the delimiters with its option letters.  0 and *ret, *ret_groups; or negative with err: the words
	 * behind "map NAME, line N: ". */
	int (*compile)(const char *pattern, const char *options, bool is_if, void **ret, int *ret_groups, struct ph_err *err);
	/* 1 match, 0 no match, negative: cannot say (err).  *m: set by lrules_find's caller, holds the groups afterwards. */
	int (*match)(void *pattern, const char *key, void *m, struct ph_err *err);
	void (*free)(void *pattern);
	ltemplate_group_fn *group;      /* of the match state m */
	const char *zero;               /* what a "$0" is called */
	/* The option letters that are taken and mean nothing any more; NULL: none. */
	const char *obsolete;
};

#define LRULES_MAX 1000000
/* Bad rules are logged and left out, as Postfix does.  0 and *ret, or negative with err (no such file ...). */
int lrules_open(const struct lrules_lang *lang, const char *name, struct lrules **ret, struct ph_err *err);
struct lrules *lrules_parse(const struct lrules_lang *lang, struct ltext *t);
/* The first rule that matches key: 1 and *ret_value in arena, 0 none, negative with err.  m: the language's match state. */
int lrules_find(struct lrules *r, const char *key, void *m, struct ph_arena *arena, const char **ret_value, struct ph_err *err);
void lrules_free(struct lrules **r);

/* The nesting of if and endif over an array of rules, shared with cidr. */
struct lnest {
	size_t *open;                   /* indices of rules that wait for their endif */
	size_t n;
};
void lnest_push(struct lnest *n, size_t rule);
bool lnest_pop(struct lnest *n, size_t *ret_rule);      /* false: endif without if */
void lnest_done(struct lnest *n);
#endif
