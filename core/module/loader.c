/* loader.c: find, check, load and remember modules.
 *
 * Owns the list of loaded modules of this process; a module once loaded stays.  A file is opened only after its ELF note has
 * passed.  Nothing here yields; called on the worker's own thread. */
#include <config.h>
#include "module/loader.h"
#include "module/descriptor.h"
#include "module/loader_private.h"
#include "config/config.h"

#include <errno.h>
#include <limits.h>
#include <ltdl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#ifdef HAVE_BDB
#define DEFAULT_TYPE "hash"
#else
#define DEFAULT_TYPE "texthash"
#endif

struct loaded {
	struct loaded *next;
	const struct ph_module *module;         /* normalised copy */
	char *path;
	bool ready;                             /* init has been called */
	struct ph_module_stats stats;
	struct ph_param_table params;
};

static struct loaded *all;
static char *search_path;
static bool ltdl_ready;

void ph_modules_init(const char *path)
{
	free(search_path);
	search_path = ph_strdup(path && *path ? path : PH_MODULE_DIR);
}

struct settings {
	const char *path, *default_type;
};

static const struct ph_param params[] = {
	PH_P_STR1(struct settings, path, "module_directory", PH_MODULE_DIR,
		  "where modules are looked for: folders, separated by colons"),
	PH_P_STR1(struct settings, default_type, "default_database_type", DEFAULT_TYPE,
		  "the table type that postmap and postalias take when none is given"),
};
PH_SETTINGS_TABLE("module", params)

void ph_modules_configure(const struct ph_conf *conf)
{
	ph_modules_init(ph_conf_get(conf, "module_directory"));
}

/* PH_MODULE_PATH, then the configured path.  Caller frees. */
char *ph_loader_path(void)
{
	const char *env = secure_getenv("PH_MODULE_PATH");
	const char *own = search_path ? search_path : PH_MODULE_DIR;
	size_t n = strlen(own) + (env ? strlen(env) + 1 : 0) + 1;
	char *p = ph_alloc(n);

	if (env && *env)
		snprintf(p, n, "%s:%s", env, own);
	else
		snprintf(p, n, "%s", own);
	return p;
}

static bool name_ok(const char *name)
{
	size_t n = strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-");

	return n > 0 && n < 128 && name[n] == '\0';
}

static struct loaded *find_loaded(unsigned kind, const char *name)
{
	for (struct loaded *l = all; l; l = l->next)
		if (l->module->kind == kind && strcmp(l->module->name, name) == 0)
			return l;
	return NULL;
}

static struct loaded *of(const struct ph_module *m)
{
	for (struct loaded *l = all; l; l = l->next)
		if (l->module == m)
			return l;
	return NULL;
}

/* Make the module's parameters known, but for those that somebody has declared already (hash and btree share theirs). */
static void announce(struct loaded *l)
{
	const struct ph_module *m = l->module;
	struct ph_param *fresh;
	size_t n = 0;

	if (m->n_params == 0)
		return;
	fresh = ph_alloc(m->n_params * sizeof *fresh);
	for (size_t i = 0; i < m->n_params; i++)
		if (ph_param_find(m->params[i].name) == NULL)
			fresh[n++] = m->params[i];
	l->params.owner = m->name;
	l->params.params = fresh;
	l->params.n = n;
	if (n > 0)
		ph_param_table_add(&l->params);
	else
		free(fresh);
}

static struct loaded *remember(const struct ph_module *m, const char *path)
{
	struct loaded *l = ph_alloc(sizeof *l), **end;

	l->module = m;
	l->path = ph_strdup(path);
	for (end = &all; *end; end = &(*end)->next)
		;
	*end = l;
	announce(l);
	return l;
}

static struct loaded *from_static(unsigned kind, const char *name, struct ph_err *err)
{
	const struct ph_module *m;

	if (ph_static_modules == NULL)
		return NULL;
	for (const struct ph_module *const *p = ph_static_modules; *p; p++)
		if ((*p)->kind == kind && (*p)->name && strcmp((*p)->name, name) == 0) {
			m = ph_module_check(*p, kind, name, "(built in)", err);
			return m ? remember(m, "(built in)") : NULL;
		}
	return NULL;
}

/* Root must not load what others can write. */
static int check_owner(const char *path, struct ph_err *err)
{
	struct stat st;

	if (stat(path, &st) < 0)
		return ph_err_errno(err, -errno, "module %s", path);
	if (geteuid() == 0 && (st.st_mode & S_IWOTH))
		return ph_err_set(err, -EPROTO, "module %s is refused: everybody can write to it", path);
	return 0;
}

/* Out of memory the process ends, as everywhere (mem.c): one that lived on without this module would keep its mail waiting until a reload. */
static const char *ltdl_error(const char *path)
{
	const char *text = lt_dlerror();

	if (text && (strcmp(text, "not enough memory") == 0 || strstr(text, "annot allocate memory"))) {
		ph_log(PH_LOG_PANIC, "module %s: %s", path, text);
		abort();
	}
	return text ? text : "unknown reason";
}

static struct loaded *open_file(unsigned kind, const char *name, const char *path, struct ph_err *err)
{
	struct ph_elf_note note;
	struct ph_err why = { 0 };
	const struct ph_module *theirs, *m;
	lt_dladvise advise;
	lt_dlhandle h;

	if (check_owner(path, err) < 0)
		return NULL;
	if (ph_elf_note_file(path, &note, &why) < 0) {
		ph_err_set(err, -EPROTO, "module %s is refused: %s", path, why.text);
		return NULL;
	}
	if (ph_descriptor_check_numbers(&note, kind, path, err) < 0)
		return NULL;
	if (!ltdl_ready && lt_dlinit() != 0) {
		ph_err_set(err, -EPROTO, "module %s: libltdl: %s", path, ltdl_error(path));
		return NULL;
	}
	/* The MongoDB library makes shared memory when it is loaded, and complains on standard error when it cannot: not while postconf scans. */
	if (!ltdl_ready)
		setenv("MONGOC_DISABLE_SHM", "1", 0);
	ltdl_ready = true;
	lt_dladvise_init(&advise);
	lt_dladvise_local(&advise);
	lt_dladvise_resident(&advise);
	h = lt_dlopenadvise(path, advise);
	lt_dladvise_destroy(&advise);
	theirs = h ? lt_dlsym(h, "ph_module") : NULL;
	if (theirs == NULL) {
		ph_err_set(err, -EPROTO, "module %s is refused: %s", path, ltdl_error(path));
		return NULL;
	}
	m = ph_module_check(theirs, kind, name, path, err);
	return m ? remember(m, path) : NULL;
}

static struct loaded *from_path(unsigned kind, const char *name, struct ph_err *err)
{
	char *path = ph_loader_path(), *cursor = path, *dir, file[PATH_MAX];
	struct loaded *l = NULL;

	while ((dir = strsep(&cursor, ":")) != NULL) {
		if (*dir == '\0' || snprintf(file, sizeof file, "%s/%s_%s.so", dir, ph_module_kind_name(kind), name) >= (int)sizeof file)
			continue;
		if (access(file, F_OK) == 0) {
			l = open_file(kind, name, file, err);
			goto out;
		}
	}
	free(path);
	path = ph_loader_path();
	ph_err_set(err, -ENOENT, "there is no %s module \"%s\" in %s", ph_module_kind_name(kind), name, path);
out:
	free(path);
	return l;
}

const struct ph_module *ph_loader_open_file(unsigned kind, const char *name, const char *path, struct ph_err *err)
{
	struct loaded *l = find_loaded(kind, name);

	if (l == NULL || strcmp(l->path, path) != 0)
		l = open_file(kind, name, path, err);
	return l ? l->module : NULL;
}

const struct ph_module *ph_loader_open_static(const struct ph_module *m, struct ph_err *err)
{
	struct loaded *l = find_loaded(m->kind, m->name);

	if (l == NULL)
		l = from_static(m->kind, m->name, err);
	return l ? l->module : NULL;
}

const struct ph_module *ph_module_load(enum ph_module_kind kind, const char *name, struct ph_err *err)
{
	struct ph_err why = { 0 };
	struct loaded *l;

	if (!name_ok(name)) {
		ph_err_set(err, -EINVAL, "\"%.100s\" cannot be the name of a %s module", name, ph_module_kind_name(kind));
		return NULL;
	}
	l = find_loaded(kind, name);
	if (l == NULL) {
		l = from_static(kind, name, &why);
		if (l == NULL && why.code == 0)
			l = from_path(kind, name, &why);
		if (l == NULL) {
			ph_err_set(err, why.code ? why.code : -ENOENT, "%s", why.text);
			return NULL;
		}
	}
	if (!l->ready) {
		if (l->module->init && l->module->init(&why) < 0) {
			ph_err_set(err, -EPROTO, "module %s does not start: %s", l->path, why.text);
			return NULL;
		}
		l->ready = true;
	}
	return l->module;
}

const void *ph_module_settings(const struct ph_module *m, const struct ph_conf *conf, struct ph_err *err)
{
	static const char none[sizeof(void *)];
	char key[192];
	void *s;

	if (m->settings_size == 0)
		return none;
	snprintf(key, sizeof key, "settings:%s:%s", ph_module_kind_name(m->kind), m->name);
	s = ph_conf_attach_get(conf, key);
	if (s)
		return s;
	s = ph_alloc(m->settings_size);
	if (ph_conf_settings(conf, m->params, m->n_params, s, err) < 0) {
		free(s);
		return NULL;
	}
	ph_conf_attach_set(conf, key, s, free);
	return s;
}

const char *ph_module_path(const struct ph_module *m)
{
	struct loaded *l = of(m);

	return l ? l->path : "?";
}

struct ph_module_stats *ph_module_stats(const struct ph_module *m)
{
	static struct ph_module_stats strangers;        /* of a module that was not loaded here: tests */
	struct loaded *l = of(m);

	return l ? &l->stats : &strangers;
}

void ph_modules_each(void (*fn)(void *arg, const struct ph_module *m), void *arg)
{
	for (struct loaded *l = all; l; l = l->next)
		fn(arg, l->module);
}

void ph_modules_done(void)
{
	for (struct loaded *l = all; l; l = l->next)
		if (l->ready && l->module->fini) {
			l->module->fini();
			l->ready = false;
		}
}
