/* unix.c: lookup "unix:passwd.byname" and "unix:group.byname": the system's accounts, in the form of their files.
 *
 * Owns nothing beyond which of the two.  get yields: the name service may ask servers, so it runs on a helper thread. */
#include <posthouse/co.h>
#include <posthouse/lookup.h>

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>

#define MAX_ENTRY ((size_t)1 << 20)

struct table {
	bool group;
};

struct job {                    /* on the heap: the helper thread works in it */
	bool group;
	const char *key;
	int rc;                 /* 0 or errno */
	bool found;
	struct ph_buf text;
};

static void put_group(struct ph_buf *b, const struct group *g)
{
	ph_buf_printf(b, "%s:%s:%u:", g->gr_name, g->gr_passwd, (unsigned)g->gr_gid);
	for (char **m = g->gr_mem; m && *m; m++)
		ph_buf_printf(b, "%s%s", m == g->gr_mem ? "" : ",", *m);
}

/* One try with a buffer of n bytes: 0 or errno. */
static int try(struct job *j, char *buf, size_t n)
{
	struct passwd pw, *p = NULL;
	struct group gr, *g = NULL;
	int rc;

	if (j->group) {
		rc = getgrnam_r(j->key, &gr, buf, n, &g);
		if (g)
			put_group(&j->text, g);
	} else {
		rc = getpwnam_r(j->key, &pw, buf, n, &p);
		if (p)
			ph_buf_printf(&j->text, "%s:%s:%u:%u:%s:%s:%s", p->pw_name, p->pw_passwd, (unsigned)p->pw_uid,
				      (unsigned)p->pw_gid, p->pw_gecos ? p->pw_gecos : "", p->pw_dir, p->pw_shell);
	}
	j->found = p || g;
	return rc;
}

static void find(void *arg)
{
	struct job *j = arg;
	size_t n = 4096;
	char *buf = NULL;

	do {
		n *= 2;
		buf = ph_realloc(buf, n);
		j->rc = try(j, buf, n);
	} while (j->rc == ERANGE && n < MAX_ENTRY);
	free(buf);
	/* What the manual lists as "not found" under various systems. */
	if (j->rc == ENOENT || j->rc == ESRCH)
		j->rc = 0;
}

static int table_open(const struct ph_table_spec *spec, void **ret, struct ph_err *err)
{
	struct table *t;

	if (spec->mode != PH_TABLE_READ)
		return ph_err_set(err, -EROFS, "unix:%.200s map requires O_RDONLY access mode", spec->name);
	if (strcmp(spec->name, "passwd.byname") != 0 && strcmp(spec->name, "group.byname") != 0)
		return ph_err_set(err, -EINVAL, "unknown table: unix:%.200s", spec->name);
	t = ph_alloc(sizeof *t);
	t->group = spec->name[0] == 'g';
	*ret = t;
	return 0;
}

static enum ph_lookup table_get(void *table, const char *key, struct ph_arena *arena, const char **ret_value, struct ph_err *err)
{
	struct table *t = table;
	struct job *j = ph_alloc(sizeof *j);
	enum ph_lookup status = PH_LOOKUP_NOTFOUND;

	j->group = t->group;
	j->key = key;
	ph_buf_init(&j->text, MAX_ENTRY);
	ph_offload(find, j);
	if (j->rc != 0) {
		ph_err_errno(err, -j->rc, "name service");
		status = PH_LOOKUP_TEMPFAIL;
	} else if (j->found) {
		*ret_value = ph_arena_strdup(arena, ph_buf_str(&j->text));
		status = PH_LOOKUP_FOUND;
	}
	ph_buf_done(&j->text);
	free(j);
	return status;
}

static const struct ph_lookup_ops ops = {
	.size = sizeof ops, .flags = PH_LOOKUP_CASEFOLD | PH_LOOKUP_INLINE | PH_LOOKUP_NETWORK,
	.open = table_open, .get = table_get, .close = free,
};

PH_MODULE(PH_KIND_LOOKUP, "unix", "1.0", "the system's users and groups", .ops.lookup = &ops);
