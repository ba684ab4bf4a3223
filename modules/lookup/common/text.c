/* text.c: see text.h.  A reader owns a copy of the whole text; nothing yields.  Source: postmap(1), "INPUT FILE FORMAT". */
#include "text.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct ltext {
	char *what, *name;
	char *data;             /* NUL-terminated copy */
	size_t n, pos;
	int lineno;             /* of the physical line at pos, from 1 */
	bool is_inline;
	struct ph_buf line;
};

static struct ltext *text_new(const char *what, const char *name)
{
	struct ltext *t = ph_alloc(sizeof *t);

	t->what = ph_strdup(what);
	t->name = ph_strdup(name);
	t->lineno = 1;
	ph_buf_init(&t->line, LTEXT_MAX_BYTES);
	return t;
}

void ltext_free(struct ltext **tp)
{
	struct ltext *t = *tp;

	*tp = NULL;
	if (t == NULL)
		return;
	ph_buf_done(&t->line);
	free(t->what);
	free(t->name);
	free(t->data);
	free(t);
}

const char *ltext_name(const struct ltext *t)
{
	return t->name;
}

struct ltext *ltext_memory(const char *what, const char *name, const char *data, size_t n)
{
	struct ltext *t = text_new(what, name);

	t->data = ph_alloc(n + 1);
	memcpy(t->data, data, n);
	t->n = n;
	return t;
}

int ltext_open_fd(const char *what, const char *name, int fd, struct ltext **ret, struct ph_err *err)
{
	struct ltext *t = text_new(what, name);
	size_t cap = 0;
	ssize_t got;
	int r = 0;

	do {
		if (t->n + 1 >= cap) {
			cap = cap ? cap * 2 : 65536;
			t->data = ph_realloc(t->data, cap);
		}
		got = read(fd, t->data + t->n, cap - t->n - 1);
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			r = ph_err_errno(err, -errno, "read %s", name);
		else
			t->n += (size_t)got;
		if (t->n > LTEXT_MAX_BYTES)
			r = ph_err_set(err, -EFBIG, "%s is larger than %zu bytes", name, LTEXT_MAX_BYTES);
	} while (r == 0 && got != 0);
	if (r < 0) {
		ltext_free(&t);
		return r;
	}
	t->data[t->n] = '\0';
	*ret = t;
	return 0;
}

/* "{ {line}, {line} }": each inner pair of braces holds a line. */
static int open_inline(const char *what, const char *name, struct ltext **ret, struct ph_err *err)
{
	char *copy = ph_strdup(name), *outer, *cursor, *word, *inner;
	struct ph_buf lines = PH_BUF_INIT(LTEXT_MAX_BYTES);
	int r = 0;

	outer = ph_str_unbrace(copy);
	if (outer == copy) {
		r = ph_err_set(err, -EINVAL, "%s: missing '}' in \"%.200s\"", what, name);
		goto out;
	}
	cursor = outer;
	while (r == 0 && (word = ph_str_token(&cursor, PH_SEP_LIST)) != NULL) {
		inner = ph_str_unbrace(word);
		if (inner == word) {
			r = ph_err_set(err, -EINVAL, "%s: no '{' at start of text, or no '}' at its end, in \"%.200s\"", what, word);
		} else {
			for (char *p = inner; *p; p++)          /* a line must stay a line */
				if (*p == '\n' || *p == '\r')
					*p = ' ';
			ph_buf_puts(&lines, inner);
			ph_buf_putc(&lines, '\n');
		}
	}
	if (r == 0) {
		*ret = ltext_memory(what, name, ph_buf_str(&lines), lines.len);
		(*ret)->is_inline = true;
	}
out:
	ph_buf_done(&lines);
	free(copy);
	return r;
}

int ltext_open(const char *what, const char *name, bool inline_ok, struct ltext **ret, struct ph_err *err)
{
	struct stat st;
	int fd, r;

	if (inline_ok && name[0] == '{')
		return open_inline(what, name, ret, err);
	fd = open(name, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (fd < 0)
		return ph_err_errno(err, -errno, "open %s", name);
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode)) {
		/* /dev/null is a good empty table; a FIFO or /dev/zero would stop or flood us. */
		if (strcmp(name, "/dev/null") == 0)
			r = ltext_open_fd(what, name, fd, ret, err);
		else
			r = ph_err_set(err, -EACCES, "open %s: not a regular file", name);
	} else {
		r = ltext_open_fd(what, name, fd, ret, err);
	}
	close(fd);
	return r;
}

static bool is_blank_line(const char *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (!isspace((unsigned char)p[i]))
			return p[i] == '#';
	return true;
}

/* The logical line into t->line; false at the end.  *ret_bad: it cannot be used, and that was logged. */
static bool gather(struct ltext *t, int *ret_first, bool *ret_bad)
{
	bool any = false;

	ph_buf_clear(&t->line);
	*ret_bad = false;
	while (t->pos < t->n) {
		const char *p = t->data + t->pos, *nl = memchr(p, '\n', t->n - t->pos);
		size_t len = nl ? (size_t)(nl - p) : t->n - t->pos;

		if (!is_blank_line(p, len)) {
			bool indented = isspace((unsigned char)p[0]);

			if (any && (!indented || t->is_inline))
				return true;
			if (!any) {
				*ret_first = t->lineno;
				if (indented && !t->is_inline) {
					ph_log(PH_LOG_WARNING, "%s: logical line must not start with whitespace: \"%.*s\"", t->name,
					       (int)(len < 30 ? len : 30), p);
					*ret_bad = true;
				}
			}
			any = true;
			if (memchr(p, '\0', len)) {
				ph_log(PH_LOG_WARNING, "%s, line %d: the line holds a null byte -- ignoring this line", t->name, t->lineno);
				*ret_bad = true;
			}
			ph_buf_append(&t->line, p, len);
		}
		t->pos += len + (nl ? 1 : 0);
		t->lineno++;
	}
	return any;
}

char *ltext_next(struct ltext *t, int *ret_lineno)
{
	bool bad;
	char *s;

	while (gather(t, ret_lineno, &bad)) {
		if (bad)
			continue;
		s = ltext_trim(t->line.data);
		if (*s)
			return s;
	}
	return NULL;
}

char *ltext_trim(char *s)
{
	size_t n;

	while (isspace((unsigned char)*s))
		s++;
	n = strlen(s);
	while (n > 0 && isspace((unsigned char)s[n - 1]))
		s[--n] = '\0';
	return s;
}

int ltext_split(char *line, char **ret_key, char **ret_value)
{
	bool in_quotes = false;
	char *p = ltext_trim(line);

	*ret_key = p;
	for (; *p; p++) {
		if (*p == '\\') {
			if (*++p == '\0')
				break;
		} else if (*p == '"') {
			in_quotes = !in_quotes;
		} else if (!in_quotes && isspace((unsigned char)*p)) {
			break;
		}
	}
	if (in_quotes)
		return -EINVAL;
	if (*p)
		*p++ = '\0';
	*ret_value = ltext_trim(p);
	return **ret_key && **ret_value ? 0 : -ENODATA;
}
