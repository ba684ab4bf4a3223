/* unix.c: lookup "unix:passwd.byname" and "unix:group.byname": the system's user and group data bases, as lines of their files.
 *
 * NSS can block for long (LDAP, NIS): it runs on the helper threads.  Owns nothing.  Yields.  Source: DATABASE_README, getpwnam_r(3). */
#include <posthouse/co.h>
#include <posthouse/lookup.h>

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>

#define BUF_FIRST 4096
#define BUF_MAX (1024 * 1024)

enum kind { PASSWD = 1, GROUP };

struct table { enum kind kind; };

struct job {
	enum kind kind;
	const char *key;
	char *buf;
	struct passwd pw;
	struct group gr;
	bool found;
	int error;              /* errno value; 0 */
};

/* On a helper thread. */
static void look(void *arg)
{
	struct job *j = arg;

	for (size_t bytes = BUF_FIRST; bytes <= BUF_MAX; bytes *= 4) {
		struct passwd *pw = NULL;
		struct group *gr = NULL;
		char *more = realloc(j->buf, bytes);

		if (!more) {
			j->error = ENOMEM;
			return;
		}
		j->buf = more;
		j->error = j->kind == PASSWD ? getpwnam_r(j->key, &j->pw, j->buf, bytes, &pw) : getgrnam_r(j->key, &j->gr, j->buf, bytes, &gr);
		j->found = pw || gr;
		if (j->error != ERANGE)
			return;
	}
}

static const char *passwd_line(struct ph_arena *a, const struct passwd *p)
{
	return ph_arena_printf(a, "%s:%s:%ld:%ld:%s:%s:%s", p->pw_name, p->pw_passwd, (long)p->pw_uid, (long)p->pw_gid, p->pw_gecos, p->pw_dir, p->pw_shell);
}

static const char *group_line(struct ph_arena *a, const struct group *g)
{
	struct ph_buf b = PH_BUF_INIT(BUF_MAX);
	const char *out;

	ph_buf_printf(&b, "%s:%s:%ld:", g->gr_name, g->gr_passwd, (long)g->gr_gid);
	for (char **m = g->gr_mem; *m; m++)
		ph_buf_printf(&b, "%s,", *m);
	out = ph_arena_strndup(a, ph_buf_str(&b), b.len);
	ph_buf_done(&b);
	return out;
}

static int table_open(const struct ph_table_spec *spec, void **ret, struct ph_err *err)
{
	struct table *t;

	if (spec->mode != PH_TABLE_READ)
		return ph_err_set(err, -EROFS, "unix:%.200s map requires O_RDONLY access mode", spec->name);
	if (strcmp(spec->name, "passwd.byname") != 0 && strcmp(spec->name, "group.byname") != 0)
		return ph_err_set(err, -EINVAL, "unknown table: unix:%.200s", spec->name);
	t = ph_alloc(sizeof(*t));
	t->kind = spec->name[0] == 'p' ? PASSWD : GROUP;
	*ret = t;
	return 0;
}

static enum ph_lookup table_get(void *table, const char *key, struct ph_arena *arena, const char **ret_value, struct ph_err *err)
{
	const struct table *t = table;
	struct job j = { .kind = t->kind, .key = key };
	enum ph_lookup l = PH_LOOKUP_NOTFOUND;

	if (ph_co_self())
		ph_offload(look, &j);
	else
		look(&j);
	/* What getpwnam(3) lists for "not found" besides 0. */
	if (j.found) {
		*ret_value = t->kind == PASSWD ? passwd_line(arena, &j.pw) : group_line(arena, &j.gr);
		l = PH_LOOKUP_FOUND;
	} else if (j.error && j.error != ENOENT && j.error != ESRCH && j.error != EBADF && j.error != EPERM) {
		ph_err_errno(err, -j.error, "unix:%s.byname: lookup of %.100s failed", t->kind == PASSWD ? "passwd" : "group", key);
		l = PH_LOOKUP_TEMPFAIL;
	}
	free(j.buf);
	return l;
}

static const struct ph_lookup_ops ops = {
	.size = sizeof ops, .flags = PH_LOOKUP_INLINE | PH_LOOKUP_CASEFOLD | PH_LOOKUP_NETWORK, .open = table_open, .get = table_get, .close = free,
};

PH_MODULE(PH_KIND_LOOKUP, "unix", "1.0", "the system's users and groups", .ops.lookup = &ops);
