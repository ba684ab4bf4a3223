/* policy_proto.c: see policy_proto.h. */
#include "common/policy_proto.h"

#include <ctype.h>
#include <errno.h>
#include <string.h>

int policy_put(struct ph_buf *b, const char *name, const char *value)
{
	size_t at = b->len;
	int r = ph_buf_printf(b, "%s=%s\n", name, value);

	for (char *p = r < 0 ? NULL : b->data + at; p && *p && p + 1 < b->data + b->len; p++)
		if ((unsigned char)*p < 32 || *p == 127)
			*p = '?';
	return r;
}

int policy_put_xtext(struct ph_buf *b, const char *name, const char *value)
{
	int r = ph_buf_printf(b, "%s=", name);

	for (const unsigned char *p = (const unsigned char *)value; r == 0 && *p; p++)
		r = *p > 32 && *p < 127 && *p != '+' ? ph_buf_putc(b, *p) : ph_buf_printf(b, "+%02X", *p);
	return r < 0 ? r : ph_buf_putc(b, '\n');
}

static struct ph_slice trim(const char *p, const char *end)
{
	while (p < end && isspace((unsigned char)*p))
		p++;
	while (end > p && isspace((unsigned char)end[-1]))
		end--;
	return (struct ph_slice){ p, (size_t)(end - p) };
}

/* One line of an answer; an action that is there twice leaves open which one is meant. */
static int one_line(struct ph_slice line, struct ph_slice *action, struct ph_err *err)
{
	const char *eq = memchr(line.p, '=', line.n);
	struct ph_slice name;

	if (memchr(line.p, '\0', line.n))
		return ph_err_set(err, -EPROTO, "NUL in the answer");
	if (!eq)
		return 0;               /* what is missing is said at the end */
	name = trim(line.p, eq);
	if (name.n != 6 || memcmp(name.p, "action", 6) != 0)
		return 0;
	if (action->p)
		return ph_err_set(err, -EPROTO, "two actions in one answer");
	*action = trim(eq + 1, line.p + line.n);
	return action->n ? 0 : ph_err_set(err, -EPROTO, "empty action");
}

int policy_reply(const char *p, size_t n, struct ph_slice *ret_action, size_t *ret_used, struct ph_err *err)
{
	struct ph_slice action = { NULL, 0 }, line;
	const char *at = p, *end = p + n, *lf;

	while (at < end && (lf = memchr(at, '\n', (size_t)(end - at)))) {
		line = (struct ph_slice){ at, (size_t)(lf - at) };
		if (line.n && line.p[line.n - 1] == '\r')
			line.n--;
		at = lf + 1;
		if ((size_t)(at - p) > POLICY_REPLY_MAX)
			break;
		if (line.n == 0) {
			if (!action.p)
				return ph_err_set(err, -EPROTO, "missing attribute action");
			*ret_action = action;
			*ret_used = (size_t)(at - p);
			return 1;
		}
		if (one_line(line, &action, err) < 0)
			return -EPROTO;
	}
	if ((size_t)(at - p) > POLICY_REPLY_MAX || n >= POLICY_REPLY_MAX)
		return ph_err_set(err, -EPROTO, "answer of more than %zu bytes", POLICY_REPLY_MAX);
	return 0;
}
