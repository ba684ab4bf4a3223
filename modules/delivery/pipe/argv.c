/* argv.c: the command's arguments: ${sender} ${recipient} ... replaced.  No shell has a hand in this: a value stays within its argument, whatever is in it.  Pure.
 *
 * Source: pipe(8), "argv=". */
#include "pipe.h"

#include <errno.h>
#include <string.h>

#define ARGS_MAX (1024 * 1024)          /* bytes of all arguments; the system's own limit is not far above */

struct args {
	const struct pipe_values *v;
	const struct pipe_rcpt *r;      /* the recipient for whom the word is made; NULL: only look for macros */
	bool per_rcpt;                  /* the word has a recipient's macro */
	struct ph_err *err;
};

#define V(name) { #name, offsetof(struct pipe_values, name) }
#define R(name, field) { name, offsetof(struct pipe_rcpt, field) }
static const struct macro { const char *name; size_t offset; } values[] = {
	V(client_address), V(client_helo), V(client_hostname), V(client_port), V(client_protocol), V(nexthop), V(queue_id), V(sasl_method),
	V(sasl_sender), V(sasl_username), V(sender), V(size),
}, rcpt_values[] = {
	R("recipient", recipient), R("original_recipient", original), R("user", user), R("extension", extension), R("mailbox", mailbox), R("domain", domain),
};
#undef V
#undef R

static const struct macro *find(const struct macro *table, size_t n, const char *name, size_t len)
{
	for (size_t i = 0; i < n; i++)
		if (strlen(table[i].name) == len && memcmp(table[i].name, name, len) == 0)
			return &table[i];
	return NULL;
}

static int put_macro(struct args *a, const char *name, size_t len, struct ph_buf *out)
{
	const struct macro *m = find(values, PH_ARRAY_LEN(values), name, len);
	const char *value = NULL;

	if (m) {
		value = *(const char *const *)((const char *)a->v + m->offset);
	} else {
		m = find(rcpt_values, PH_ARRAY_LEN(rcpt_values), name, len);
		if (!m)
			return ph_err_set(a->err, -EINVAL, "unknown macro name: \"%.*s\"", (int)len, name);
		a->per_rcpt = true;
		if (a->r)
			value = *(const char *const *)((const char *)a->r + m->offset);
	}
	return ph_buf_puts(out, value ? value : "");
}

static bool name_char(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

/* At a '$'.  Negative, or the bytes used. */
static int put_dollar(struct args *a, const char *p, struct ph_buf *out)
{
	size_t n = 0;
	int rc;

	if (p[1] == '$')
		return ph_buf_putc(out, '$') < 0 ? -ENOBUFS : 2;
	if (p[1] == '{' || p[1] == '(') {
		const char *end = strchr(p + 2, p[1] == '{' ? '}' : ')');

		if (!end)
			return ph_err_set(a->err, -EINVAL, "truncated macro reference: \"%s\"", p);
		rc = put_macro(a, p + 2, (size_t)(end - p - 2), out);
		return rc < 0 ? rc : (int)(end - p + 1);
	}
	while (name_char(p[1 + n]))
		n++;
	rc = put_macro(a, p + 1, n, out);
	return rc < 0 ? rc : (int)n + 1;
}

static int put_word(struct args *a, const char *word, struct ph_buf *out)
{
	int rc = 0;

	while (*word && rc >= 0) {
		size_t n = strcspn(word, "$");

		rc = ph_buf_append(out, word, n);
		word += n;
		if (rc == 0 && *word && (rc = put_dollar(a, word, out)) > 0)
			word += rc;
	}
	return rc < 0 ? rc : ph_buf_putc(out, '\0');
}

/* One word of master.cf: one argument, or one for each recipient. */
static int put_words(struct args *a, const char *word, const struct pipe_rcpt *rcpts, size_t n_rcpts, struct ph_buf *out, size_t *count)
{
	size_t before = out->len;
	int rc;

	a->r = NULL;
	a->per_rcpt = false;
	rc = put_word(a, word, out);
	if (!a->per_rcpt || rc < 0) {
		++*count;
		return rc;
	}
	out->len = before;
	for (size_t i = 0; i < n_rcpts && rc == 0; i++, ++*count) {
		a->r = &rcpts[i];
		rc = put_word(a, word, out);
	}
	return rc;
}

char **pipe_argv(const struct pipe_attr *attr, const struct pipe_values *v, const struct pipe_rcpt *rcpts, size_t n_rcpts, struct ph_arena *arena,
		 struct ph_err *err)
{
	struct args a = { .v = v, .err = err };
	struct ph_buf out = PH_BUF_INIT(ARGS_MAX);
	size_t count = 0;
	char **argv = NULL, *p;
	int rc = 0;

	for (const char *const *w = attr->argv; *w && rc == 0; w++)
		rc = put_words(&a, *w, rcpts, n_rcpts, &out, &count);
	if (rc == -ENOBUFS)
		ph_err_set(err, rc, "command arguments exceed %d bytes", ARGS_MAX);
	if (rc == 0) {
		argv = ph_arena_alloc(arena, (count + 1) * sizeof *argv);
		p = ph_arena_alloc(arena, out.len + 1);
		memcpy(p, out.data, out.len);
		for (size_t i = 0; i < count; i++, p += strlen(p) + 1)
			argv[i] = p;
	}
	ph_buf_done(&out);
	return argv;
}
