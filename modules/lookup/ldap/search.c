/* search.c: one look-up: the search, and those that its results ask for.
 *
 * Values and references (DNs and URLs) wait on a stack of our own, in the order of the entries, so that neither a deep nor a circular
 * group costs C stack.  The answer of the server is read as its socket becomes readable; only with chase_referrals, where libldap itself
 * connects, a search runs on a helper thread.  Yields.  Source: ldap_table(5). */
#include "ldap.h"

#include <posthouse/co.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>

struct item {
	char *text;
	size_t len;
	int depth;
	bool reference;
};

struct work {
	struct ldapt_query *q;
	LDAP *ld;
	int64_t deadline;
	struct item *stack;
	size_t n, cap, bytes;
	size_t seen;            /* items so far */
	struct ph_err *err;
};

/* ---- the stack ---- */

static int over(struct work *w, const char *what)
{
	return w->q->failed = ph_err_set(&w->q->why, -E2BIG, "%s exceeded for key '%.200s'", what, w->q->key);
}

static int push(struct work *w, const struct berval *v, int depth, bool reference)
{
	struct item *i;

	if (++w->seen > LDAPT_MAX_ITEMS || (w->bytes += v->bv_len) > LDAPT_MAX_BYTES)
		return over(w, "Memory limit");
	if (w->n == w->cap) {
		w->cap = w->cap ? w->cap * 2 : 32;
		w->stack = ph_realloc(w->stack, w->cap * sizeof w->stack[0]);
	}
	i = &w->stack[w->n++];
	i->text = memcpy(ph_alloc(v->bv_len + 1), v->bv_val, v->bv_len);       /* a value may hold NULs: whoever takes it looks */
	i->len = v->bv_len;
	i->depth = depth;
	i->reference = reference;
	return 0;
}

/* What was pushed since from comes off in the order it was pushed. */
static void reverse(struct work *w, size_t from)
{
	for (size_t to = w->n; from + 1 < to; from++) {
		struct item t = w->stack[--to];

		w->stack[to] = w->stack[from];
		w->stack[from] = t;
	}
}

/* ---- entries ---- */

static bool has_value(LDAP *ld, LDAPMessage *entry, const struct ldapt_attrs *list)
{
	bool found = false;

	for (size_t i = 0; !found && i < list->n; i++) {
		struct berval **v = ldap_get_values_len(ld, entry, list->name[i]);

		found = v && v[0];
		ldap_value_free_len(v);
	}
	return found;
}

static int take_attr(struct work *w, LDAPMessage *entry, const char *attr, int depth, bool reference)
{
	struct berval **v = ldap_get_values_len(w->ld, entry, attr);
	int r = 0;

	for (size_t i = 0; r == 0 && v && v[i]; i++)
		r = push(w, v[i], depth, reference);
	ldap_value_free_len(v);
	return r;
}

static int take_entry(struct work *w, LDAPMessage *entry, int depth)
{
	const struct ldapt *t = w->q->t;
	bool terminal = has_value(w->ld, entry, &t->terminal), leaf = !has_value(w->ld, entry, &t->special);
	BerElement *ber = NULL;
	char *attr = ldap_first_attribute(w->ld, entry, &ber);
	int r = 0;

	for (; attr && r == 0; attr = ldap_next_attribute(w->ld, entry, ber)) {
		if (terminal ? ldapt_listed(&t->terminal, attr)
			     : ldapt_listed(&t->plain, attr) || (leaf && ldapt_listed(&t->leaf, attr)))
			r = take_attr(w, entry, attr, depth, false);
		else if (!terminal && ldapt_listed(&t->special, attr))
			r = take_attr(w, entry, attr, depth, true);
		ldap_memfree(attr);
	}
	if (attr && r)
		ldap_memfree(attr);
	ber_free(ber, 0);
	return r;
}

/* ---- searches ---- */

struct search {
	LDAP *ld;
	const char *base, *filter;
	int scope, limit, rc;
	char **attrs;
	int64_t timeout_ms;
	LDAPMessage *all;
};

static void search_thread(void *arg)
{
	struct search *s = arg;
	struct timeval tv = { s->timeout_ms / 1000, s->timeout_ms % 1000 * 1000 };

	s->rc = ldap_search_ext_s(s->ld, s->base, s->scope, s->filter, s->attrs, 0, NULL, NULL, &tv, s->limit, &s->all);
}

static int search_aside(struct work *w, struct search *s, int depth, int *ret_rc)
{
	int r = 0;

	ph_offload(search_thread, s);
	*ret_rc = s->rc;
	for (LDAPMessage *e = s->all ? ldap_first_entry(w->ld, s->all) : NULL; e && r == 0; e = ldap_next_entry(w->ld, e))
		r = take_entry(w, e, depth);
	ldap_msgfree(s->all);
	return 0;
}

/* The next message of the answer.  Its type (> 0), or negative. */
static int next_message(struct work *w, int id, int64_t deadline, LDAPMessage **ret)
{
	struct timeval none = { 0, 0 };
	int fd = -1, r;

	for (;;) {
		r = ldap_result(w->ld, id, LDAP_MSG_ONE, &none, ret);
		if (r > 0)
			return r;
		if (r < 0 || ldap_get_option(w->ld, LDAP_OPT_DESC, &fd) != LDAP_SUCCESS || fd < 0)
			return ph_err_set(w->err, -ECONNRESET, "Search error: %s", ldap_err2string(LDAP_SERVER_DOWN));
		r = ph_fd_wait(fd, PH_FD_READ, deadline);
		if (r < 0)
			return ph_err_errno(w->err, r, "Search error: no answer");
	}
}

static int search_here(struct work *w, struct search *s, int depth, int *ret_rc)
{
	int64_t deadline = ph_now_ms() + s->timeout_ms;
	LDAPMessage *m = NULL;
	int id, type;

	*ret_rc = ldap_search_ext(s->ld, s->base, s->scope, s->filter, s->attrs, 0, NULL, NULL, NULL, s->limit, &id);
	if (*ret_rc != LDAP_SUCCESS)
		return 0;
	if (deadline > w->deadline)
		deadline = w->deadline;
	for (;;) {
		type = next_message(w, id, deadline, &m);
		if (type < 0)
			return type;
		if (type != LDAP_RES_SEARCH_ENTRY && type != LDAP_RES_SEARCH_REFERENCE)         /* references: chase_referrals = no */
			break;
		if (type == LDAP_RES_SEARCH_ENTRY)
			take_entry(w, m, depth);
		ldap_msgfree(m);
		if (w->q->failed < 0) {
			ldap_abandon_ext(w->ld, id, NULL, NULL);
			return 0;
		}
	}
	if (ldap_parse_result(w->ld, m, ret_rc, NULL, NULL, NULL, NULL, 1) != LDAP_SUCCESS)
		*ret_rc = LDAP_DECODING_ERROR;
	return 0;
}

static bool is_server_error(int rc)
{
	return rc == LDAP_SERVER_DOWN || rc == LDAP_TIMEOUT || rc == LDAP_CONNECT_ERROR || rc == LDAP_BUSY || rc == LDAP_UNAVAILABLE;
}

/* Push what the search finds.  missing_ok: that the base does not exist means that there is nothing.  0 (q->failed may be set), or negative: the
 * connection is not good any more. */
static int run_search(struct work *w, struct search *s, int depth, bool missing_ok)
{
	struct ldapt *t = w->q->t;
	size_t from = w->n;
	int rc = LDAP_SUCCESS, r;

	s->ld = w->ld;
	s->limit = t->size_limit;
	s->timeout_ms = t->timeout_ms;
	r = t->chase ? search_aside(w, s, depth, &rc) : search_here(w, s, depth, &rc);
	reverse(w, from);
	if (r < 0 || w->q->failed < 0)
		return r;
	if (is_server_error(rc))
		return ph_err_set(w->err, -ECONNRESET, "Search error %d: %s", rc, ldap_err2string(rc));
	if (rc == LDAP_SIZELIMIT_EXCEEDED)
		over(w, "Size limit");
	else if (rc == LDAP_NO_SUCH_OBJECT && missing_ok)
		;
	else if (rc == LDAP_NO_SUCH_OBJECT)
		w->q->failed = ph_err_set(&w->q->why, -EIO, "Search base '%.200s' not found: %d: %s", s->base, rc, ldap_err2string(rc));
	else if (rc != LDAP_SUCCESS && !(rc == LDAP_REFERRAL && !t->chase))
		w->q->failed = ph_err_set(&w->q->why, -EIO, "Search error %d: %s", rc, ldap_err2string(rc));
	return 0;
}

static int follow(struct work *w, const struct item *i)
{
	struct ldapt *t = w->q->t;
	char *selected[4 * LDAPT_MAX_ATTRS + 1];
	struct search s = { .base = i->text, .filter = "(objectclass=*)", .scope = LDAP_SCOPE_BASE, .attrs = t->wanted };
	LDAPURLDesc *url = NULL;
	int r = 0;

	if (i->depth >= t->recursion_limit) {
		over(w, "Recursion limit");
		return 0;
	}
	if (ldap_is_ldap_url(i->text)) {
		if (ldap_url_parse(i->text, &url) != LDAP_URL_SUCCESS) {
			ph_log(PH_LOG_WARNING, "ldap:%s: cannot parse LDAP URL %.200s", t->q.name, i->text);
			w->q->failed = ph_err_set(&w->q->why, -EINVAL, "malformed URL %.200s", i->text);
			return 0;
		}
		s.base = url->lud_dn ? url->lud_dn : "";
		s.scope = url->lud_scope == LDAP_SCOPE_DEFAULT ? LDAP_SCOPE_BASE : url->lud_scope;
		if (url->lud_filter && *url->lud_filter)
			s.filter = url->lud_filter;
		ldapt_select(t->wanted, url->lud_attrs, selected);
		s.attrs = selected;
	}
	if (s.attrs[0])
		r = run_search(w, &s, i->depth + 1, true);
	if (url)
		ldap_free_urldesc(url);
	return r;
}

static int drain(struct work *w)
{
	int r = 0;

	while (w->n > 0 && r == 0 && w->q->failed == 0) {
		struct item i = w->stack[--w->n];

		if (i.reference)
			r = follow(w, &i);
		else
			w->q->failed = lresult_add(w->q->res, i.text, i.len, &w->q->why);
		w->bytes -= i.len;
		free(i.text);
	}
	return r;
}

int ldapt_ask(struct lconn *c, struct ldapt_query *q, int64_t deadline, struct ph_err *err)
{
	struct work w = { .q = q, .ld = c->user, .deadline = deadline, .err = err };
	struct search s = { .base = q->base, .filter = q->filter, .scope = q->t->scope, .attrs = q->t->wanted };
	int r;

	q->failed = 0;
	lresult_done(q->res);
	r = run_search(&w, &s, 0, q->t->base_has_key);
	if (r == 0)
		r = drain(&w);
	while (w.n > 0)
		free(w.stack[--w.n].text);
	free(w.stack);
	return r;
}
