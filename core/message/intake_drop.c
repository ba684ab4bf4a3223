/* intake_drop.c: an intake whose message goes to maildrop/ (sendmail -bs): the envelope and the content as they came; pickup hands them to
 * an ordinary intake, which cleans up.  Blocks where a command may block: it serves one session.  Source: sendmail(1), smtpd(8) stand-alone. */
#include "message/cleanup.h"
#include "queue/submit.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

int ph_intake_drop_begin(const struct ph_intake_params *p, struct ph_intake **ret, struct ph_err *err)
{
	struct ph_submit *s = p->submit;
	struct ph_intake *in;

	s->size_limit = p->size_limit;
	s->content = 0;
	if (ph_submit_open(s) < 0)
		return ph_err_set(err, s->err.code, "%s", s->err.text);
	in = ph_arena_alloc(p->arena, sizeof(*in));
	in->p = *p;
	in->arena = p->arena;
	snprintf(in->queue_id, sizeof(in->queue_id), "%.31s", s->queue_id);
	in->env.sender = "";
	*ret = in;
	return 0;
}

static void failed(struct ph_intake *in)
{
	struct ph_submit *s = in->p.submit;

	if (s->err.code == -EFBIG)
		ph_intake_fail(in, -EFBIG, 552, "5.3.4", "Error: message file too big");
	else
		ph_intake_fail(in, s->err.code, 451, "4.3.0", "Error: queue file write error");
	if (s->err.code != -EFBIG)
		ph_log(PH_LOG_WARNING, "%s: %s", in->queue_id, s->err.text);
}

static int put(struct ph_intake *in, const char *p, size_t n)
{
	if (!in->lost && ph_submit_content(in->p.submit, p, n) < 0)
		failed(in);
	return in->lost;
}

/* What was said before the content, and the headers that were put on top of it. */
static void begin_content(struct ph_intake *in)
{
	struct ph_submit *s = in->p.submit;
	bool remote = ph_envelope_attr(&in->env, "rewrite_context") && strcmp(ph_envelope_attr(&in->env, "rewrite_context"), "remote") == 0;

	if (in->started)
		return;
	in->started = true;
	s->sender = in->env.sender;
	s->envid = in->env.envid;
	s->ret = in->env.ret;
	s->encoding = in->env.encoding && *in->env.encoding ? in->env.encoding : NULL;
	s->flags = in->env.flags & (PH_ENV_SMTPUTF8 | PH_ENV_VERP | PH_ENV_REQUIRETLS);
	s->verp = ph_envelope_attr(&in->env, "verp_delimiters");
	s->gateway = remote;
	if (ph_submit_envelope(s) < 0)
		failed(in);
	for (size_t i = 0; !in->lost && i < in->n_rcpts; i++)
		if (ph_submit_put_rcpt(s, in->rcpts[i].address, in->rcpts[i].notify, in->rcpts[i].orcpt) < 0)
			failed(in);
	/* There are no access controls in a stand-alone session; what a restriction of the mail owner's asks for cannot be handed on. */
	if (in->env.filter || in->env.redirect || (in->env.flags & PH_ENV_HOLD) || in->n_bccs)
		ph_intake_fail(in, -ENOTSUP, 451, "4.3.0", "Error: this action needs a running mail system");
	for (size_t i = 0; i < in->n_on_top; i++)
		if (put(in, in->headers_on_top[i], strlen(in->headers_on_top[i])) == 0)
			put(in, "\n", 1);
	for (size_t i = 0; i < in->n_prepends; i++)
		if (put(in, in->prepends[i], strlen(in->prepends[i])) == 0)
			put(in, "\n", 1);
}

int ph_intake_drop_line(struct ph_intake *in, const char *line, size_t n, bool cont)
{
	begin_content(in);
	put(in, line, n);
	return cont ? in->lost : put(in, "\n", 1);
}

void ph_intake_drop_abort(struct ph_intake **in)
{
	ph_submit_abort((*in)->p.submit);
	*in = NULL;
}

struct ph_verdict ph_intake_drop_end(struct ph_intake **inp, int64_t *ret_size)
{
	struct ph_intake *in = *inp;
	struct ph_verdict v = { .cls = PH_PERMIT, .code = 250, .dsn = "2.0.0", .complete = true };

	begin_content(in);
	if (ret_size)
		*ret_size = in->p.submit->content;
	if (!in->lost && !in->discard && ph_submit_end(in->p.submit) < 0)
		failed(in);
	if (in->lost)
		v = in->why;
	else
		v.text = ph_arena_printf(in->arena, "Ok: queued as %s", in->queue_id);
	ph_intake_drop_abort(inp);
	return v;
}
