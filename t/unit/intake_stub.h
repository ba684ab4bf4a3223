/* intake_stub.h: a store, a queue manager, a session and a log in memory, so that the intake can be tested alone. */
#ifndef T_UNIT_INTAKE_STUB_H
#define T_UNIT_INTAKE_STUB_H

#include "message/filter_host.h"
#include "message/intake.h"
#include "queue/proto.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The linker's --wrap puts these in the place of the real ones. */
#pragma GCC diagnostic ignored "-Wmissing-prototypes"

struct ph_store_msg { struct ph_buf content; };

static struct ph_store_msg the_msg;
static struct ph_buf got_log = PH_BUF_INIT(1 << 20);
static char *got_content;
static char got_encoding[16];
static struct ph_buf got_env = PH_BUF_INIT(1 << 20);
static int commit_result, announced;
static bool log_off;

struct ph_store *__wrap_ph_store_self(void)
{
	return (struct ph_store *)&the_msg;
}

int64_t __wrap_ph_store_free_bytes(struct ph_store *s)
{
	return 1000000;
}

struct ph_store_msg *__wrap_ph_store_begin(struct ph_store *s, const char *queue_id)
{
	the_msg.content.len = 0;
	the_msg.content.max = 64 << 20;
	return &the_msg;
}

int __wrap_ph_store_write(struct ph_store_msg *m, const void *p, size_t n)
{
	return ph_buf_append(&m->content, p, n);
}

int64_t __wrap_ph_store_bytes(const struct ph_store_msg *m)
{
	return (int64_t)m->content.len;
}

ssize_t __wrap_ph_store_read(struct ph_store_msg *m, int64_t offset, void *buf, size_t n)
{
	size_t left = (size_t)offset < m->content.len ? m->content.len - (size_t)offset : 0;

	n = n < left ? n : left;
	if (n)
		memcpy(buf, m->content.data + offset, n);
	return (ssize_t)n;
}

int __wrap_ph_store_rewrite(struct ph_store_msg *m)
{
	m->content.len = 0;
	return 0;
}

int __wrap_ph_store_commit(struct ph_store_msg **m, const struct ph_envelope *env, struct ph_msg_ref *ret, struct ph_err *err)
{
	*m = NULL;
	if (commit_result < 0)
		return ph_err_set(err, commit_result, "injected");
	free(got_content);
	got_content = ph_strndup(ph_buf_str(&the_msg.content), the_msg.content.len);
	snprintf(got_encoding, sizeof(got_encoding), "%s", env->encoding);
	ph_buf_clear(&got_env);
	ph_buf_printf(&got_env, "%s", env->sender);
	for (size_t i = 0; i < env->n_rcpts; i++) {
		ph_buf_printf(&got_env, "|%s", env->rcpts[i].address);
		if (strcmp(env->rcpts[i].original, env->rcpts[i].address))
			ph_buf_printf(&got_env, "(%s)", env->rcpts[i].original);
		if (env->rcpts[i].dsn_notify)
			ph_buf_printf(&got_env, "/%u", env->rcpts[i].dsn_notify);
	}
	if (env->flags & PH_ENV_HOLD)
		ph_buf_puts(&got_env, "|HOLD");
	if (env->filter)
		ph_buf_printf(&got_env, "|FILTER %s", env->filter);
	if (env->redirect)
		ph_buf_printf(&got_env, "|REDIRECT %s", env->redirect);
	return 0;
}

void __wrap_ph_store_abort(struct ph_store_msg **m)
{
	*m = NULL;
}

void __wrap_ph_qmgr_announce(const struct ph_msg_ref *ref, const struct ph_envelope *env)
{
	announced++;
}


__attribute__((format(printf, 2, 0)))
static void take_log(const char *prog, const char *fmt, va_list ap)
{
	if (log_off)
		return;
	ph_buf_printf(&got_log, "%s: ", prog);
	ph_buf_vprintf(&got_log, fmt, ap);
	ph_buf_puts(&got_log, "\n");
}

__attribute__((format(printf, 3, 4)))
void __wrap_ph_log_as(const char *prog, enum ph_log_level level, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	take_log(level == PH_LOG_WARNING ? "warning" : prog, fmt, ap);
	va_end(ap);
}

__attribute__((format(printf, 2, 3)))
void __wrap_ph_log(enum ph_log_level level, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	take_log(level == PH_LOG_WARNING ? "warning" : "log", fmt, ap);
	va_end(ap);
}

/* What modules log goes through libposthouse's own ph_log_as. */
__attribute__((unused))
static void take_stderr(void)
{
	char buf[4096];
	size_t n;

	if (log_off)
		return;
	fflush(stderr);
	rewind(stderr);
	while ((n = fread(buf, 1, sizeof(buf), stderr)) > 0)
		ph_buf_append(&got_log, buf, n);
	rewind(stderr);
	if (ftruncate(fileno(stderr), 0) < 0)
		abort();
}

/* One message.  rcpts: separated by spaces.  The verdict as text: "250 Ok", "550 5.7.1 text". */
__attribute__((unused))
static const char *submit(const struct ph_conf *conf, struct ph_arena *arena, struct ph_filter_chain *chain, bool local, unsigned flags,
			  int64_t limit, const char *sender, const char *rcpts, const char *text)
{
	struct ph_intake_params p = {
		.conf = conf, .filters = chain, .prog = "smtpd", .origin = local ? "local" : "client.test[192.0.2.1]",
		.local_origin = local, .flags = flags ^ PH_INTAKE_RECEIVED_DONE, .size_limit = limit, .arena = arena,
	};
	char *copy = ph_arena_strdup(arena, rcpts), *word;
	struct ph_intake *in;
	struct ph_verdict v;
	struct ph_err err;

	ph_buf_clear(&got_log);
	free(got_content);
	got_content = NULL;
	ph_buf_clear(&got_env);
	if (ph_intake_begin(&p, &in, &err) < 0)
		return ph_arena_strdup(arena, err.text);
	ph_intake_sender(in, sender, NULL, NULL, NULL, 0);
	while ((word = ph_str_token(&copy, " ")))
		ph_intake_rcpt(in, word, NULL, 0);
	while (*text) {
		size_t n = strcspn(text, "\n");

		ph_intake_line(in, text, n, false);
		text += n + (text[n] == '\n');
	}
	v = ph_intake_end(&in, NULL);
	take_stderr();
	return v.cls == PH_PERMIT ? "ok" : ph_arena_printf(arena, "%d %s %s", v.code, v.dsn, v.text);
}
#endif
