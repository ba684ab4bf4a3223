/* account.c: the password file, asked on a helper thread since the name service may block.
 *
 * State: the accounts that were asked for by name within the last second; a burst of mail asks for the same few again and again. */
#include "local.h"

#include <errno.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>

#define REMEMBERED 64
#define REMEMBER_MS 1000

static struct remembered { struct ph_arena *arena; struct local_user user; int64_t until_ms; } remembered[REMEMBERED];

struct job { const char *name; uid_t uid; struct passwd pw, *found; char *buf; size_t bytes; int rc; };

static void job_run(void *arg)
{
	struct job *j = arg;

	for (;;) {
		j->rc = j->name ? getpwnam_r(j->name, &j->pw, j->buf, j->bytes, &j->found) : getpwuid_r(j->uid, &j->pw, j->buf, j->bytes, &j->found);
		if (j->rc != ERANGE || j->bytes > 1024 * 1024)
			return;
		j->bytes *= 2;
		j->buf = ph_realloc(j->buf, j->bytes);
	}
}

static int ask(struct ph_arena *arena, struct job *j, const struct local_user **ret)
{
	struct local_user *u;
	int rc = 1;

	j->bytes = 2048;
	j->buf = ph_alloc(j->bytes);
	ph_offload(job_run, j);
	/* ENOENT, ESRCH and the like also mean "not there" with some name services; anything else is a failure of theirs. */
	if (!j->found) {
		rc = j->rc == 0 || j->rc == ENOENT || j->rc == ESRCH || j->rc == EBADF || j->rc == EPERM ? 0 : -j->rc;
	} else {
		u = ph_arena_alloc(arena, sizeof *u);
		*u = (struct local_user){ ph_arena_strdup(arena, j->pw.pw_name), ph_arena_strdup(arena, j->pw.pw_dir),
			ph_arena_strdup(arena, j->pw.pw_shell), j->pw.pw_uid, j->pw.pw_gid };
		*ret = u;
	}
	free(j->buf);
	return rc;
}

static struct remembered *slot_of(const char *name)
{
	unsigned h = 5381;

	for (const char *p = name; *p; p++)
		h = h * 33 + (unsigned char)*p;
	return &remembered[h % REMEMBERED];
}

static void copy_user(struct ph_arena *arena, struct local_user *to, const struct local_user *u)
{
	*to = (struct local_user){ ph_arena_strdup(arena, u->name), ph_arena_strdup(arena, u->home), ph_arena_strdup(arena, u->shell), u->uid, u->gid };
}

/* Not when the name service answers with another spelling than the one that was asked for. */
static void remember(const char *name, const struct local_user *u)
{
	struct remembered *r = slot_of(name);

	if (strcmp(name, u->name) != 0)
		return;
	if (!r->arena)
		r->arena = ph_arena_new();
	ph_arena_reset(r->arena);
	copy_user(r->arena, &r->user, u);
	r->until_ms = ph_now_ms() + REMEMBER_MS;
}

int local_account(struct ph_arena *arena, const char *name, const struct local_user **ret)
{
	struct job j = { .name = name };
	struct remembered *r;
	struct local_user *u;
	int rc;

	/* A slash must never become part of a path. */
	if (!*name || strlen(name) > 255 || strchr(name, '/') || strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
		return 0;
	r = slot_of(name);
	if (r->until_ms > ph_now_ms() && strcmp(r->user.name, name) == 0) {
		u = ph_arena_alloc(arena, sizeof *u);
		copy_user(arena, u, &r->user);
		*ret = u;
		return 1;
	}
	rc = ask(arena, &j, ret);
	if (rc == 1)
		remember(name, *ret);
	return rc;
}

int local_account_uid(struct ph_arena *arena, uid_t uid, const struct local_user **ret)
{
	struct job j = { .uid = uid };

	return ask(arena, &j, ret);
}
