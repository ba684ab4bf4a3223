/* run_setup.c: what a command may be given: an identity, and an environment.  See posthouse/run.h.  Blocks in the name service. */
#include <posthouse/run.h>
#include "config/general.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ENV_MAX 100

/* Only who is root can give a command other rights than its own, so only then can they be too many. */
static int check_rights(const struct ph_conf *conf, const struct ph_run_identity *id, struct ph_err *err)
{
	const char *owner = ph_conf_get(conf, "mail_owner");
	const struct passwd *pw;

	if (id->uid == 0)
		return ph_err_set(err, -EPERM, "user= command-line attribute specifies root privileges");
	pw = owner && geteuid() == 0 ? getpwnam(owner) : NULL;
	if (pw && id->uid == pw->pw_uid)
		return ph_err_set(err, -EPERM, "user= command-line attribute specifies mail system owner %s", owner);
	if (id->gid == 0)
		return ph_err_set(err, -EPERM, "user= command-line attribute specifies privileged group id 0");
	if (pw && id->gid == pw->pw_gid)
		return ph_err_set(err, -EPERM, "user= command-line attribute specifies mail system owner %s group id %ld", owner, (long)pw->pw_gid);
	return 0;
}

int ph_run_identity(const struct ph_conf *conf, struct ph_arena *arena, const char *spec, struct ph_run_identity *ret, struct ph_err *err)
{
	char *user = ph_arena_strdup(arena, spec), *group = strchr(user, ':');
	struct ph_run_identity id;
	const struct passwd *pw;
	const struct group *gr;
	int rc;

	if (group)
		*group++ = '\0';
	pw = getpwnam(user);
	if (!pw)
		return ph_err_set(err, -ENOENT, "unknown username: %s", user);
	id = (struct ph_run_identity){ pw->pw_uid, pw->pw_gid, user };
	if (group && *group) {
		gr = getgrnam(group);
		if (!gr)
			return ph_err_set(err, -ENOENT, "unknown group: %s", group);
		id.gid = gr->gr_gid;
	}
	rc = check_rights(conf, &id, err);
	if (rc == 0)
		*ret = id;
	return rc;
}

/* ---- environment ---- */

struct env { char **v; size_t n; struct ph_arena *arena; };

static void put(struct env *e, const char *name, size_t name_len, const char *value)
{
	if (!value || e->n == ENV_MAX)
		return;
	for (size_t i = 0; i < e->n; i++) {
		if (strncmp(e->v[i], name, name_len) == 0 && e->v[i][name_len] == '=') {
			e->v[i] = e->v[--e->n];
			break;
		}
	}
	e->v[e->n++] = ph_arena_printf(e->arena, "%.*s=%s", (int)name_len, name, value);
}

char **ph_run_environment(const struct ph_conf *conf, struct ph_arena *arena)
{
	char *list = ph_arena_strdup(arena, ph_conf_get(conf, "export_environment")), *word;
	struct env e = { ph_arena_alloc(arena, (ENV_MAX + 1) * sizeof *e.v), 0, arena };

	while ((word = ph_str_token(&list, PH_SEP_LIST))) {
		size_t n;

		word = *word == '{' ? ph_str_unbrace(word) : word;
		n = strcspn(word, "=");
		if (word[n]) {
			size_t name_len = n;

			/* "{ NAME = value with blanks }" */
			while (name_len && word[name_len - 1] == ' ')
				name_len--;
			put(&e, word, name_len, word + n + 1 + strspn(word + n + 1, " "));
		}
		else if (strcmp(word, "MAIL_CONFIG") == 0)
			put(&e, word, n, ph_conf_get(conf, "config_directory"));
		else
			put(&e, word, n, getenv(word));
	}
	put(&e, "PATH", 4, "/usr/bin:/bin");    /* whatever export_environment says */
	return e.v;
}
