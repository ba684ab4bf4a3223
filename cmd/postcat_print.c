/* postcat_print.c: a message as postcat(1) shows it: sections, record names and record types as Postfix prints them.
 *
 * -o shows where the record of the store lies that holds the line: the ENVELOPE record for the envelope, the line itself for content.
 * State: one struct printer a message.  Blocks. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cmd/postcat.h"
#include "queue/maildrop.h"
#include "queue/record.h"

/* What -d shows: the letters of Postfix's record types. */
enum { T_SIZE = 'C', T_TIME = 'T', T_ATTR = 'A', T_SENDER = 'S', T_FULL = 'F', T_FILTER = 'L', T_REDIRECT = '>', T_ORIGINAL = 'O',
       T_RCPT = 'R', T_CONTENT = 'M', T_LINE = 'N', T_EXTRACTED = 'X', T_END = 'E' };

struct printer {
	const struct ph_postcat *p;
	const char *path;
	uint64_t at;                    /* file offset for -o */
	enum { START, IN_HEADER, IN_BODY } where;
	bool line_open;                 /* a line has begun and its end is still to come */
	bool show;                      /* that line */
};

static void prefix(const struct printer *pr, int type)
{
	if (pr->p->offsets)
		printf("%9llu ", (unsigned long long)pr->at);
	if (pr->p->types)
		printf("%3d ", type);
}

__attribute__((format(printf, 3, 4)))
static void record(const struct printer *pr, int type, const char *fmt, ...)
{
	va_list ap;

	prefix(pr, type);
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	putchar('\n');
}

static void section(const struct printer *pr, int type, const char *name)
{
	if (!pr->p->envelope)
		return;
	if (type)
		prefix(pr, type);
	printf("*** %s %s ***\n", name, pr->path);
}

/* ---- the envelope ------------------------------------------------------------------------- */

static void print_time(const struct printer *pr, int64_t us)
{
	time_t t = (time_t)(us / 1000000);
	struct tm tm;
	char text[64];

	localtime_r(&t, &tm);
	strftime(text, sizeof(text), "%a %b %e %H:%M:%S %Y", &tm);
	record(pr, T_TIME, "message_arrival_time: %s", text);
}

static void print_rcpt(const struct printer *pr, const struct ph_rcpt *r)
{
	if (r->dsn_notify & PH_NOTIFY_EXPANDED)
		record(pr, T_ATTR, "named_attribute: expanded=%s", r->address);
	if (r->dsn_notify & PH_NOTIFY_EXPANDED)
		return;                 /* only its report is due */
	if (r->dsn_notify)
		record(pr, T_ATTR, "named_attribute: notify_flags=%u", r->dsn_notify);
	if (r->dsn_orcpt)
		record(pr, T_ATTR, "named_attribute: dsn_orig_rcpt=%s", r->dsn_orcpt);
	record(pr, T_ORIGINAL, "original_recipient: %s", r->original);
	record(pr, T_RCPT, "recipient: %s", r->address);
}

static void print_envelope(const struct printer *pr, const struct ph_envelope *env, uint64_t content_at)
{
	size_t i;

	record(pr, T_SIZE, "message_size: %15lld %15llu %15zu %15d %15lld %15d", (long long)env->content_bytes, (unsigned long long)content_at,
	       env->n_rcpts, 0, (long long)env->content_bytes, env->flags & PH_ENV_SMTPUTF8 ? 1 : 0);
	print_time(pr, env->arrival_us);
	if (env->envid)
		record(pr, T_ATTR, "named_attribute: envelope_id=%s", env->envid);
	if (env->ret)
		record(pr, T_ATTR, "named_attribute: ret_flags=%d", strcmp(env->ret, "HDRS") == 0 ? 2 : 1);
	if (env->filter)
		record(pr, T_FILTER, "content_filter: %s", env->filter);
	if (env->redirect)
		record(pr, T_REDIRECT, "redirect_to: %s", env->redirect);
	record(pr, T_SENDER, "sender: %s", env->sender);
	for (i = 0; i < env->n_attrs; i++)
		record(pr, T_ATTR, "named_attribute: %s=%s", env->attrs[i].name, env->attrs[i].value);
	for (i = 0; i < env->n_rcpts; i++)
		print_rcpt(pr, &env->rcpts[i]);
}

/* ---- content ------------------------------------------------------------------------------ */

/* Does the line begin a header, or go on with one? */
static bool is_header(const struct printer *pr, const char *line, size_t n)
{
	size_t i;

	if (n > 0 && (line[0] == ' ' || line[0] == '\t'))
		return pr->where == IN_HEADER;
	for (i = 0; i < n && line[i] > ' ' && line[i] < 127 && line[i] != ':'; i++)
		;
	return i > 0 && i < n && line[i] == ':';
}

/* A piece of content; a line may come in several pieces, of which the first decides. */
static void print_piece(struct printer *pr, const char *p, size_t n)
{
	const char *nl;
	size_t len;

	while (n > 0) {
		nl = memchr(p, '\n', n);
		len = nl ? (size_t)(nl - p) : n;
		if (!pr->line_open) {
			if (pr->where != IN_BODY)
				pr->where = is_header(pr, p, len) ? IN_HEADER : IN_BODY;
			pr->show = pr->where == IN_BODY ? pr->p->body : pr->p->header;
			if (pr->show) {
				prefix(pr, T_LINE);
				if (pr->p->verbose)
					fputs("regular_text: ", stdout);
			}
		}
		if (pr->show) {
			fwrite(p, 1, len, stdout);
			if (nl)
				putchar('\n');
		}
		pr->line_open = nl == NULL;
		len += nl != NULL;
		pr->at += len;
		p += len;
		n -= len;
	}
}

static void print_content_end(struct printer *pr)
{
	if (pr->line_open && pr->show)
		putchar('\n');
	pr->line_open = false;
}

static int print_content(struct printer *pr, struct ph_stored *m)
{
	char *buf = ph_alloc(65536);
	int64_t at = 0;
	size_t room;
	ssize_t n = 0;

	while (pr->where != IN_BODY || pr->p->body) {
		pr->at = ph_msg_content_at(m->ref.offset, (uint64_t)at, &room);
		n = ph_stored_read(m, at, buf, room < 65536 ? room : 65536);
		if (n <= 0)
			break;
		print_piece(pr, buf, (size_t)n);
		at += n;
	}
	print_content_end(pr);
	free(buf);
	return n < 0 ? (int)n : 0;
}

int ph_postcat_message(const struct ph_postcat *p, int fd, const char *path, const struct ph_msg_ref *ref, const struct ph_envelope *env,
		       struct ph_err *err)
{
	struct printer pr = { .p = p, .path = path };
	struct ph_arena *arena = ph_arena_new();
	struct ph_stored *m;
	int r = ph_stored_open_fd(fd, ref, arena, &m, err);

	if (r < 0)
		goto out;
	if (ph_stored_verify(m, err) < 0)       /* shown all the same: it is to be looked at */
		ph_log(PH_LOG_WARNING, "%s: %s", path, err->text);
	section(&pr, 0, "ENVELOPE RECORDS");
	pr.at = ph_msg_env_at(ref);
	if (p->envelope)
		print_envelope(&pr, env, m->content_offset);
	pr.at = ref->offset;
	section(&pr, T_CONTENT, "MESSAGE CONTENTS");
	if (p->header || p->body)
		r = print_content(&pr, m);
	pr.at = ref->offset + ref->length - PH_END_REC;
	section(&pr, T_EXTRACTED, "HEADER EXTRACTED");
	if (p->envelope && env->encoding[0])
		record(&pr, T_ATTR, "named_attribute: encoding=%s", env->encoding);
	section(&pr, T_END, "MESSAGE FILE END");
	if (r < 0)
		ph_err_errno(err, r, "%s: read", path);
out:
	ph_arena_free(&arena);
	return r;
}

/* ---- maildrop ----------------------------------------------------------------------------- */

/* The envelope of a file that pickup has not taken yet; content and the end are the caller's. */
static void print_drop(const struct printer *pr, const struct ph_maildrop_rec *rec)
{
	struct ph_slice address;
	const char *orcpt;
	unsigned notify;
	int n = (int)rec->data.n;

	switch (rec->type) {
	case PH_DROP_SENDER:
		record(pr, T_SENDER, "sender: %.*s", n, rec->data.p);
		break;
	case PH_DROP_FULL_NAME:
		record(pr, T_FULL, "sender_fullname: %.*s", n, rec->data.p);
		break;
	case PH_DROP_ENVID:
		record(pr, T_ATTR, "named_attribute: envelope_id=%.*s", n, rec->data.p);
		break;
	case PH_DROP_RET:
		record(pr, T_ATTR, "named_attribute: ret_flags=%d", n == 4 && memcmp(rec->data.p, "HDRS", 4) == 0 ? 2 : 1);
		break;
	case PH_DROP_ENCODING:
		record(pr, T_ATTR, "named_attribute: encoding=%.*s", n, rec->data.p);
		break;
	case PH_DROP_ATTR:
		record(pr, T_ATTR, "named_attribute: %.*s", n, rec->data.p);
		break;
	case PH_DROP_RCPT:
		if (ph_maildrop_rcpt(rec, &address, &notify, &orcpt) < 0)
			break;
		if (notify)
			record(pr, T_ATTR, "named_attribute: notify_flags=%u", notify);
		if (*orcpt)
			record(pr, T_ATTR, "named_attribute: dsn_orig_rcpt=%s", orcpt);
		record(pr, T_RCPT, "recipient: %.*s", (int)address.n, address.p);
		break;
	case PH_DROP_FLAGS:
	case PH_DROP_CONTENT:
	case PH_DROP_END:
		break;
	}
}

int ph_postcat_maildrop(const struct ph_postcat *p, int fd, const char *path, struct ph_err *err)
{
	struct ph_maildrop_reader *reader = ph_maildrop_reader_new(fd);
	struct printer pr = { .p = p, .path = path };
	struct ph_maildrop_rec rec;
	bool content = false;
	int r;

	section(&pr, 0, "ENVELOPE RECORDS");
	while ((r = ph_maildrop_next(reader, &rec, err)) > 0) {
		if (rec.type == PH_DROP_CONTENT) {
			if (!content)
				section(&pr, T_CONTENT, "MESSAGE CONTENTS");
			content = true;
			print_piece(&pr, rec.data.p, rec.data.n);
		} else if (p->envelope) {
			print_drop(&pr, &rec);
		}
	}
	print_content_end(&pr);
	if (r == 0) {
		if (!content)
			section(&pr, T_CONTENT, "MESSAGE CONTENTS");
		section(&pr, T_EXTRACTED, "HEADER EXTRACTED");
		section(&pr, T_END, "MESSAGE FILE END");
	}
	ph_maildrop_reader_free(&reader);
	return r;
}
