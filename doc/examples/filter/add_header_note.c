/* add_header_note.c: filter "add_header_note": count the lines of a message and note it in a header, unless the sender has set one.
 * An example of a filter module; see doc/modules.md.
 *
 * main.cf:  smtpd_filters = add_header_note:X-Lines   (the word behind the colon is the header's name) */
#include <posthouse/filter.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct note {                   /* one per session */
	const char *name;       /* owned by the use */
	int64_t lines;
	bool has_one;
};

static int note_prepare(const struct ph_conf *conf, const void *settings, const char *arg, void **ret, struct ph_err *err)
{
	if (arg[strspn(arg, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-")] != '\0')
		return ph_err_set(err, -EINVAL, "add_header_note: \"%.60s\" is no name of a header", arg);
	*ret = ph_strdup(*arg ? arg : "X-Line-Count");
	return 0;
}

static int note_open(void *use, struct ph_session *s, void **ret, struct ph_err *err)
{
	struct note *n = ph_alloc(sizeof *n);

	n->name = use;
	*ret = n;
	return 0;
}

/* The first header of each message: forget what the one before it was like. */
static void reset(struct note *n)
{
	n->lines = 0;
	n->has_one = false;
}

static struct ph_verdict note_mail(void *obj, struct ph_session *s)
{
	reset(obj);
	return ph_verdict_dunno();
}

static struct ph_verdict note_header(void *obj, struct ph_mail *m, enum ph_header_kind kind, const char *line, size_t len)
{
	struct note *n = obj;
	size_t name = strlen(n->name);

	if (kind == PH_HEADER_PRIMARY && len > name && line[name] == ':' && strncasecmp(line, n->name, name) == 0)
		n->has_one = true;
	return ph_verdict_dunno();
}

static struct ph_verdict note_body(void *obj, struct ph_mail *m, const char *line, size_t len)
{
	((struct note *)obj)->lines++;
	return ph_verdict_dunno();
}

static struct ph_verdict note_end(void *obj, struct ph_mail *m)
{
	struct note *n = obj;
	struct ph_err err;
	char value[32];

	snprintf(value, sizeof value, "%lld", (long long)n->lines);
	if (!n->has_one && ph_edit_add_header(m, n->name, value) < 0) {
		ph_err_set(&err, -ENOBUFS, "add_header_note: too many edits");
		return ph_filter_fail(m, &err);
	}
	reset(n);               /* mail that does not come over SMTP has no MAIL command */
	return ph_verdict_dunno();
}

static const struct ph_filter_ops ops = {
	.size = sizeof ops, .prepare = note_prepare, .release = free, .open = note_open, .close = free,
	.mail = note_mail, .header = note_header, .body = note_body, .end_of_message = note_end,
};

PH_MODULE(PH_KIND_FILTER, "add_header_note", "1.0", "note the number of lines in a header", .ops.filter = &ops);
