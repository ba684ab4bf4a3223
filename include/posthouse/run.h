/* posthouse/run.h: do something as a user: run a command, or a function, in a child process with nothing inherited.
 *
 * For delivery modules of services that run as root (local, pipe, virtual, spawn). */
#ifndef POSTHOUSE_RUN_H
#define POSTHOUSE_RUN_H

#include <posthouse/base.h>

#ifdef __cplusplus
extern "C" {
#endif

struct ph_run;
struct ph_conf;

/* Whose rights a command gets. */
struct ph_run_identity { uid_t uid; gid_t gid; const char *user; };
/* "user" or "user:group" (the user= of pipe(8) and spawn(8)) in arena.  0, or negative with err in Postfix's words: -ENOENT (no such user or
 * group), -EPERM (root, a group of id 0, or the user or group of mail_owner).  Asks the name service and may block: for start functions.  Since 1.1. */
PH_API int ph_run_identity(const struct ph_conf *conf, struct ph_arena *arena, const char *spec, struct ph_run_identity *ret, struct ph_err *err);
/* The environment that export_environment grants, and PATH.  NULL-terminated, in arena.  Source: export_environment of postconf(5).  Since 1.1. */
PH_API char **ph_run_environment(const struct ph_conf *conf, struct ph_arena *arena);

struct ph_run_spec {
	uid_t uid;                      /* never 0: refused with -EPERM */
	gid_t gid;
	const char *user;               /* for the supplementary groups; NULL: none but gid */
	const char *chroot_dir;         /* or NULL */
	const char *dir;                /* working directory; NULL: "/" */
	char *const *argv;              /* program (absolute path, or found along $PATH of env) and its arguments; NULL: call fn */
	char *const *env;               /* complete environment, NULL-terminated; NULL: empty */
	/* In the child, as the user: reads descriptor 0, may write to 1.  Plain blocking POSIX calls only: nothing of this interface that
	 * yields or logs.  Its result (0..255) is the exit status. */
	int (*fn)(void *arg);
	void *arg;
	int64_t limit_ms;               /* time for all of it; then the process group is killed; 0: none */
	size_t output_max;              /* bytes of descriptors 1 and 2 that are kept (the rest is read and dropped) */
	bool dialogue;                  /* its output is not collected but read with ph_run_read */
	bool gain_privileges;           /* fn may execute set-uid programs; those of argv always may (postdrop is one) */
};

/* Start it.  0 and *ret, or negative with err: -EPERM (root, or not our own uid and we are not root), -EAGAIN (no process), ...  Does not yield. */
PH_API int ph_run_start(const struct ph_run_spec *spec, struct ph_run **ret, struct ph_err *err);
/* A new limit, in ms from now on, for a process that is given one piece of work after the other; 0: none.  Since 1.1. */
PH_API void ph_run_limit(struct ph_run *r, int64_t limit_ms);
/* Bytes for its descriptor 0.  0; -EPIPE: it does not read any more (not an error for most); -ETIMEDOUT (it was killed).  Yields. */
PH_API int ph_run_write(struct ph_run *r, const void *p, size_t n);
/* Exactly n bytes of its output (dialogue).  0; -ENODATA: it has ended; -ETIMEDOUT; other errors.  Yields. */
PH_API int ph_run_read(struct ph_run *r, void *p, size_t n, int64_t deadline_ms);
/* Close descriptor 0, wait for its end.  What kept it from starting (no such directory, no such program) is logged; its status is EX_TEMPFAIL.
 *  *ret_status as from waitpid(2).  Output in ret_output (NUL-terminated, owned by r until
 * ph_run_free).  0, -ETIMEDOUT (killed by the limit).  Yields. */
PH_API int ph_run_end(struct ph_run *r, int *ret_status, const char **ret_output);
/* NULL-safe; kills what still runs; sets *r to NULL.  Yields until it is gone. */
PH_API void ph_run_free(struct ph_run **r);

#ifdef __cplusplus
}
#endif
#endif
