/* submit.c: see submit.h. */
#include "cmd/submit.h"

#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <unistd.h>

void ph_submit_rcpt(struct ph_submit *s, struct ph_arena *arena, const char *address)
{
	if (s->n_rcpts == s->cap_rcpts) {
		s->cap_rcpts = s->cap_rcpts ? 2 * s->cap_rcpts : 16;
		s->rcpts = ph_realloc(s->rcpts, s->cap_rcpts * sizeof *s->rcpts);
	}
	s->rcpts[s->n_rcpts++] = ph_arena_strdup(arena, address);
}

/* Start set-gid postdrop and write to it. */
static int start_postdrop(struct ph_submit *s)
{
	int fds[2];

	if (pipe2(fds, O_CLOEXEC) < 0)
		return ph_err_errno(&s->err, -errno, "pipe");
	s->postdrop = fork();
	if (s->postdrop < 0) {
		close(fds[0]);
		close(fds[1]);
		return ph_err_errno(&s->err, -errno, "fork");
	}
	if (s->postdrop == 0) {
		dup2(fds[0], 0);
		execl(PH_SBIN_DIR "/postdrop", "postdrop", "-r", "-c", s->config_dir, (char *)NULL);
		_exit(EX_UNAVAILABLE);
	}
	close(fds[0]);
	signal(SIGPIPE, SIG_IGN);
	s->pipe = fds[1];
	s->w = ph_maildrop_to_fd(fds[1]);
	return 0;
}

static int open_sink(struct ph_submit *s)
{
	int rc = ph_maildrop_create(s->queue_dir, &s->w, &s->err);

	if (rc == -EACCES || rc == -EPERM)
		return start_postdrop(s);
	return rc;
}

static void put_text(struct ph_submit *s, enum ph_maildrop_type type, const char *text)
{
	if (text)
		ph_maildrop_put(s->w, type, text, strlen(text));
}

int ph_submit_begin(struct ph_submit *s)
{
	uint32_t flags = htole32(s->flags);
	int rc = open_sink(s);

	if (rc < 0)
		return rc;
	put_text(s, PH_DROP_SENDER, s->sender);
	put_text(s, PH_DROP_FULL_NAME, s->full_name);
	put_text(s, PH_DROP_ENVID, s->envid);
	put_text(s, PH_DROP_RET, s->ret);
	put_text(s, PH_DROP_ENCODING, s->encoding);
	if (s->flags)
		ph_maildrop_put(s->w, PH_DROP_FLAGS, &flags, sizeof flags);
	for (size_t i = 0; rc >= 0 && i < s->n_rcpts; i++)
		rc = ph_maildrop_put_rcpt(s->w, s->rcpts[i], s->notify, NULL);
	return rc < 0 ? ph_err_errno(&s->err, rc, "recipient list") : 0;
}

int ph_submit_content(struct ph_submit *s, const void *p, size_t n)
{
	int rc = n ? ph_maildrop_put(s->w, PH_DROP_CONTENT, p, n) : 0;

	return rc < 0 ? ph_err_errno(&s->err, rc, "write message") : 0;
}

static int wait_postdrop(struct ph_submit *s)
{
	int status;

	close(s->pipe);
	while (waitpid(s->postdrop, &status, 0) < 0)
		if (errno != EINTR)
			return EX_OSERR;
	if (WIFEXITED(status))
		return WEXITSTATUS(status);
	return EX_SOFTWARE;
}

int ph_submit_end(struct ph_submit *s)
{
	int rc = ph_maildrop_finish(&s->w, &s->err);

	if (s->postdrop > 0) {
		int status = wait_postdrop(s);

		if (status == EX_UNAVAILABLE)
			ph_err_set(&s->err, -1, "postdrop refused the message, or " PH_SBIN_DIR "/postdrop cannot be run");
		else if (status != 0)
			ph_err_set(&s->err, -1, "postdrop failed with status %d", status);
		if (status != 0)
			return status;
	}
	if (rc < 0)
		return EX_TEMPFAIL;
	ph_maildrop_trigger(s->queue_dir);
	return 0;
}
