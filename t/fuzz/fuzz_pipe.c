/* pipe(8): attributes and macros from master.cf, and the message on its way into a command: what comes in pieces must come out as what comes at once. */
#include "../../modules/delivery/pipe/pipe.h"
#include <stdlib.h>
#include <string.h>

static const char *const *split(struct ph_arena *a, char *text)
{
	const char **words = ph_arena_alloc(a, (strlen(text) / 2 + 2) * sizeof *words);
	char *w;
	size_t n = 0;

	while ((w = strsep(&text, " ")))
		if (*w)
			words[n++] = w;
	return words;
}

static void attributes(struct ph_arena *a, char *text)
{
	const struct pipe_values v = { .sender = "a b;$x", .nexthop = "", .size = "1" };
	const struct pipe_rcpt r[2] = { { "r@x", "o@x", "r", "e", "r+e", "x" }, { "$(s)", "${t}", NULL, "", "-x", "" } };
	struct pipe_attr attr;
	struct ph_err err;
	char **argv;
	size_t before = 0, after = 0;

	if (pipe_attr_parse(split(a, text), a, &attr, &err) < 0)
		return;
	for (const char *const *w = attr.argv; *w; w++)
		before++;
	argv = pipe_argv(&attr, &v, r, 2, a, &err);
	for (; argv && argv[after]; after++)
		;
	if (argv && (after < before || after > 2 * before))
		abort();
}

static void copy(const struct pipe_attr *attr, const char *p, size_t n, size_t piece, struct ph_buf *out)
{
	struct pipe_loop loop = { .address = "u@x" };
	struct pipe_copy c;

	pipe_copy_init(&c, attr);
	for (size_t at = 0; at < n; at += piece) {
		size_t take = n - at < piece ? n - at : piece;

		if (pipe_copy_add(&c, p + at, take, out) < 0)
			abort();
		pipe_loop_add(&loop, p + at, take);
	}
	if (pipe_copy_end(&c, out) < 0)
		abort();
	ph_buf_putc(out, loop.found);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct ph_arena *a = ph_arena_new();
	struct pipe_attr attr = { .eol = "\r\n" };
	struct ph_buf one = PH_BUF_INIT(16 << 20), two = PH_BUF_INIT(16 << 20);
	char *text = ph_arena_strndup(a, (const char *)data, n);

	attributes(a, text);
	if (n > 2) {
		attr.flags = (data[0] & 1 ? PIPE_DOT : 0) | (data[0] & 2 ? PIPE_GREATER : 0) | (data[0] & 4 ? PIPE_BLANK : 0);
		attr.eol = data[0] & 8 ? "\n" : "\r\n";
		copy(&attr, (const char *)data + 2, n - 2, n, &one);
		copy(&attr, (const char *)data + 2, n - 2, 1 + data[1] % 7, &two);
		if (one.len != two.len || memcmp(one.data, two.data, one.len) != 0)
			abort();
	}
	ph_buf_done(&one);
	ph_buf_done(&two);
	ph_arena_free(&a);
	return 0;
}
