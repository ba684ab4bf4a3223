/* attr.c: the command's attributes in master.cf: "flags=Rq user=vmail argv=/usr/bin/x ${recipient}".  Pure. */
#include "pipe.h"

#include <errno.h>
#include <string.h>

static const struct { char letter; unsigned flag; } letters[] = {
	{ 'B', PIPE_BLANK }, { 'D', PIPE_DELIVERED }, { 'F', PIPE_FROM }, { 'O', PIPE_ORIG_RCPT }, { 'R', PIPE_RETURN_PATH }, { 'X', PIPE_FINAL },
	{ 'h', PIPE_FOLD_HOST }, { 'q', PIPE_QUOTE }, { 'u', PIPE_FOLD_USER }, { '.', PIPE_DOT }, { '>', PIPE_GREATER },
};

static int parse_flags(const char *text, unsigned *ret, struct ph_err *err)
{
	size_t i;

	for (*ret = 0; *text; text++) {
		for (i = 0; i < PH_ARRAY_LEN(letters) && letters[i].letter != *text; i++)
			;
		if (i == PH_ARRAY_LEN(letters))
			return ph_err_set(err, -EINVAL, "unknown flag: %c", *text);
		*ret |= letters[i].flag;
	}
	return 0;
}

/* \n \r \t ... \ddd, as in C; an unknown escape is the character itself. */
static const char *unescape(struct ph_arena *arena, const char *text)
{
	static const char names[] = "abfnrtv", values[] = "\a\b\f\n\r\t\v";
	char *out = ph_arena_alloc(arena, strlen(text) + 1), *q = out;

	while (*text) {
		const char *known;

		if (*text != '\\' || !text[1]) {
			*q++ = *text++;
			continue;
		}
		text++;
		known = strchr(names, *text);
		if (known) {
			*q++ = values[known - names];
			text++;
		} else if (*text >= '0' && *text <= '7') {
			int v = 0;

			for (int i = 0; i < 3 && *text >= '0' && *text <= '7'; i++)
				v = 8 * v + (*text++ - '0');
			*q++ = (char)v;
		} else {
			*q++ = *text++;
		}
	}
	*q = '\0';
	return out;
}

static const char *value_of(const char *word, const char *name)
{
	size_t n = strlen(name);

	return strncmp(word, name, n) == 0 && word[n] == '=' ? word + n + 1 : NULL;
}

/* "argv=/bin/x" and all words behind it. */
static const char *const *command(const char *const *words, const char *first, struct ph_arena *arena)
{
	const char **argv;
	size_t n = 1, i = 0;

	for (const char *const *w = words + 1; *w; w++)
		n++;
	argv = ph_arena_alloc(arena, (n + 1) * sizeof *argv);
	if (*first)
		argv[i++] = first;
	while (*++words)
		argv[i++] = *words;
	return argv;
}

static int parse_word(const char *word, struct ph_arena *arena, struct pipe_attr *a, struct ph_err *err)
{
	const char *v;

	if ((v = value_of(word, "flags")))
		return parse_flags(v, &a->flags, err);
	if ((v = value_of(word, "user")))
		a->user = *v ? v : NULL;
	else if ((v = value_of(word, "chroot")))
		a->chroot_dir = *v ? v : NULL;
	else if ((v = value_of(word, "directory")))
		a->dir = *v ? v : NULL;
	else if ((v = value_of(word, "eol")))
		a->eol = unescape(arena, v);
	else if ((v = value_of(word, "null_sender")))
		a->null_sender = v;
	else if ((v = value_of(word, "size"))) {
		if (ph_str_int64(v, 0, INT64_MAX, &a->size) < 0)
			return ph_err_set(err, -EINVAL, "bad size= value: %s", v);
	} else
		return ph_err_set(err, -EINVAL, "unknown attribute name: %s", word);
	return 0;
}

int pipe_attr_parse(const char *const *words, struct ph_arena *arena, struct pipe_attr *ret, struct ph_err *err)
{
	struct pipe_attr a = { .eol = "\n", .null_sender = "MAILER-DAEMON" };
	const char *first;
	int rc;

	for (; *words; words++) {
		first = value_of(*words, "argv");
		if (first) {
			a.argv = command(words, first, arena);
			break;
		}
		rc = parse_word(*words, arena, &a, err);
		if (rc < 0)
			return rc;
	}
	if (!a.user)
		return ph_err_set(err, -EINVAL, "missing user= command-line attribute");
	if (!a.argv || !a.argv[0])
		return ph_err_set(err, -EINVAL, "missing argv= command-line attribute");
	*ret = a;
	return 0;
}
