/* submit.c: see submit.h. */
#include "queue/submit.h"

#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

void ph_submit_rcpt(struct ph_submit *s, struct ph_arena *arena, const char *address)
{
	if (s->n_rcpts == s->cap_rcpts) {
		s->cap_rcpts = s->cap_rcpts ? 2 * s->cap_rcpts : 16;
		s->rcpts = ph_realloc(s->rcpts, s->cap_rcpts * sizeof *s->rcpts);
	}
	s->rcpts[s->n_rcpts++] = ph_arena_strdup(arena, address);
}

/* ---- postdrop ---- */

int ph_submit_answer(int fd, const char *const *words)
{
	char text[1024];
	size_t at = 0, n;

	for (; *words; words++) {
		n = strlen(*words) + 1;
		if (at + n + 1 > sizeof text)
			return -EMSGSIZE;
		memcpy(text + at, *words, n);
		at += n;
	}
	text[at++] = '\0';
	return write(fd, text, at) == (ssize_t)at ? 0 : -EPIPE;
}

/* One answer; the value of name goes to ret.  0, or -EPROTO when postdrop has gone without one. */
static int read_answer(int fd, const char *name, char *ret, size_t size)
{
	char text[1024], *p, *value;
	size_t n = 0;
	bool found = false;

	for (;;) {
		ssize_t got = n < sizeof text ? read(fd, text + n, 1) : -1;

		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			return -EPROTO;
		n++;
		if (n >= 2 && text[n - 1] == '\0' && text[n - 2] == '\0')
			break;
	}
	for (p = text; p < text + n && *p; p = value + strlen(value) + 1) {
		value = p + strlen(p) + 1;
		if (value >= text + n)
			break;
		if (strcmp(p, name) == 0 && strlen(value) < size) {
			strcpy(ret, value);
			found = true;
		}
	}
	return found ? 0 : -EPROTO;
}

static int start_postdrop(struct ph_submit *s)
{
	int in[2], out[2];

	if (pipe2(in, O_CLOEXEC) < 0)
		return ph_err_errno(&s->err, -errno, "pipe");
	if (pipe2(out, O_CLOEXEC) < 0) {
		close(in[0]);
		close(in[1]);
		return ph_err_errno(&s->err, -errno, "pipe");
	}
	s->postdrop = fork();
	if (s->postdrop == 0) {
		dup2(in[0], 0);
		dup2(out[1], 1);
		execl(PH_SBIN_DIR "/postdrop", "postdrop", "-r", "-c", s->config_dir, (char *)NULL);
		_exit(127);
	}
	close(in[0]);
	close(out[1]);
	s->pipe = in[1];
	s->answer = out[0];
	if (s->postdrop < 0)
		return ph_err_errno(&s->err, -errno, "fork");
	signal(SIGPIPE, SIG_IGN);
	if (read_answer(s->answer, "queue_id", s->queue_id, sizeof s->queue_id) < 0)
		return ph_err_set(&s->err, -EACCES, PH_SBIN_DIR "/postdrop does not take mail: is it set-gid? (\"postfix set-permissions\")");
	s->w = ph_maildrop_to_fd(s->pipe);
	return 0;
}

static int wait_postdrop(struct ph_submit *s)
{
	int status = 0;

	close(s->pipe);
	close(s->answer);
	while (waitpid(s->postdrop, &status, 0) < 0 && errno == EINTR)
		;
	s->postdrop = 0;
	return status;
}

/* ---- the message ---- */

int ph_submit_open(struct ph_submit *s)
{
	int rc = ph_maildrop_create(s->queue_dir, &s->w, &s->err);

	if (rc == -EACCES || rc == -EPERM)
		return start_postdrop(s);
	if (rc == 0)
		snprintf(s->queue_id, sizeof s->queue_id, "%s", ph_maildrop_name(s->w));
	return rc;
}

static void put_text(struct ph_submit *s, enum ph_maildrop_type type, const char *text)
{
	if (text)
		ph_maildrop_put(s->w, type, text, strlen(text));
}

/* Of a name, what is no text becomes a blank: it is no reason to lose mail. */
static void put_name(struct ph_submit *s, const char *name)
{
	char *copy = name ? ph_strdup(name) : NULL;

	for (char *p = copy; p && *p; p++)
		if ((unsigned char)*p < ' ' || *p == 127)
			*p = ' ';
	put_text(s, PH_DROP_FULL_NAME, copy);
	free(copy);
}

int ph_submit_put_rcpt(struct ph_submit *s, const char *address, unsigned notify, const char *orcpt)
{
	int rc = ph_maildrop_put_rcpt(s->w, address, notify, orcpt);

	return rc < 0 ? ph_err_errno(&s->err, rc, "recipient list") : 0;
}

int ph_submit_envelope(struct ph_submit *s)
{
	uint32_t flags = htole32(s->flags);
	char verp[40];
	int rc = 0;

	put_text(s, PH_DROP_SENDER, s->sender);
	put_name(s, s->full_name);
	put_text(s, PH_DROP_ENVID, s->envid);
	put_text(s, PH_DROP_RET, s->ret);
	put_text(s, PH_DROP_ENCODING, s->encoding);
	if (s->verp) {
		snprintf(verp, sizeof verp, "verp_delimiters=%s", s->verp);
		put_text(s, PH_DROP_ATTR, verp);
	}
	if (s->gateway)
		put_text(s, PH_DROP_ATTR, "rewrite_context=remote");
	if (s->flags)
		ph_maildrop_put(s->w, PH_DROP_FLAGS, &flags, sizeof flags);
	for (size_t i = 0; rc == 0 && i < s->n_rcpts; i++)
		rc = ph_submit_put_rcpt(s, s->rcpts[i], s->notify, NULL);
	return rc;
}

int ph_submit_content(struct ph_submit *s, const void *p, size_t n)
{
	int rc;

	s->content += (int64_t)n;
	if (s->size_limit > 0 && s->content > s->size_limit)
		return ph_err_set(&s->err, -EFBIG, "message file too big");
	rc = n ? ph_maildrop_put(s->w, PH_DROP_CONTENT, p, n) : 0;
	return rc < 0 ? ph_err_errno(&s->err, rc, "write message") : 0;
}

/* What postdrop thinks of it. */
static int hear_postdrop(struct ph_submit *s, int rc)
{
	char reason[512] = "";
	int heard = read_answer(s->answer, "reason", reason, sizeof reason);
	int status = wait_postdrop(s);

	if (heard == 0 && rc == 0 && WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return 0;
	if (heard == 0 && *reason)
		return ph_err_set(&s->err, -EIO, "%s", reason);
	if (WIFSIGNALED(status))
		return ph_err_set(&s->err, -EIO, "postdrop died by signal %d", WTERMSIG(status));
	return ph_err_set(&s->err, -EIO, "postdrop failed with status %d", WEXITSTATUS(status));
}

int ph_submit_end(struct ph_submit *s)
{
	int rc = ph_maildrop_finish(&s->w, &s->err);

	if (s->postdrop > 0)
		return hear_postdrop(s, rc);
	if (rc == 0)
		ph_maildrop_trigger(s->queue_dir);
	return rc;
}

void ph_submit_abort(struct ph_submit *s)
{
	if (s->w)
		ph_maildrop_abort(&s->w);
	if (s->postdrop > 0)
		wait_postdrop(s);       /* it sees a stream that ends too early, and keeps nothing */
	free(s->rcpts);
	s->rcpts = NULL;
	s->n_rcpts = s->cap_rcpts = 0;
}
