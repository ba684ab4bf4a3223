/* load.c: reading a generation from its folder, or from text in memory, and its end.
 *
 * A file that changes while it is read is read again.  A generation is complete and checked for syntax before anybody
 * sees it; on failure nothing remains.  Blocks on file reads; no yield. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config/private.h"

void ph_config_note(struct ph_config *c, const char *file, int line, const char *fmt, ...)
{
	struct ph_note *note = ph_arena_alloc(c->arena, sizeof(*note));
	struct ph_buf text;
	va_list ap;

	ph_buf_init(&text, 4096);
	va_start(ap, fmt);
	if (ph_buf_vprintf(&text, fmt, ap) < 0)
		ph_buf_puts(&text, "(a remark too long to show)");
	va_end(ap);
	note->file = file;
	note->line = line;
	note->text = ph_arena_strdup(c->arena, ph_buf_str(&text));
	*c->last_note = note;
	c->last_note = &note->next;
	if (!(c->flags & PH_CONFIG_QUIET))
		ph_log(PH_LOG_WARNING, "%s, line %d: %s", file, line, note->text);
	ph_buf_done(&text);
}

/* ---- reading a file ---- */

static int read_fd(int fd, const char *path, struct ph_buf *text, struct ph_err *err)
{
	ssize_t n;

	ph_buf_clear(text);
	for (;;) {
		if (ph_buf_reserve(text, 65536) < 0)
			return ph_err_set(err, -EFBIG, "%s: larger than %zu bytes", path, text->max);
		n = read(fd, text->data + text->len, 65536);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return ph_err_errno(err, -errno, "%s: cannot read", path);
		if (n == 0)
			return 0;
		text->len += (size_t)n;
		text->data[text->len] = '\0';
	}
}

static bool same_file_state(const struct stat *a, const struct stat *b)
{
	return a->st_size == b->st_size && a->st_mtim.tv_sec == b->st_mtim.tv_sec && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec;
}

static int read_once(const char *path, struct ph_buf *text, bool *ret_changed, struct ph_err *err)
{
	struct stat before, after;
	int fd, rc;

	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return ph_err_errno(err, -errno, "open %s", path);
	if (fstat(fd, &before) < 0) {
		rc = ph_err_errno(err, -errno, "%s: cannot read", path);
		goto out;
	}
	rc = read_fd(fd, path, text, err);
	if (rc == 0 && fstat(fd, &after) == 0)
		*ret_changed = !same_file_state(&before, &after);
out:
	close(fd);
	return rc;
}

int ph_config_read_file(const char *path, struct ph_buf *text, struct ph_err *err)
{
	bool changed = true;
	int i, rc;

	for (i = 0; i < 5; i++) {
		rc = read_once(path, text, &changed, err);
		if (rc < 0 || !changed)
			return rc;
		usleep(50000);
	}
	return ph_err_set(err, -EBUSY, "%s: the file keeps changing while it is read; try again when it is complete", path);
}

/* ---- a generation ---- */

static struct ph_config *config_new(const char *dir, unsigned flags)
{
	struct ph_arena *a = ph_arena_new();
	struct ph_config *c = ph_arena_alloc(a, sizeof(*c));

	c->arena = a;
	c->dir = ph_arena_strdup(a, dir);
	c->flags = flags;
	c->main_file = ph_arena_printf(a, "%s/main.cf", dir);
	c->master_file = ph_arena_printf(a, "%s/master.cf", dir);
	c->last_note = &c->notes;
	ph_settings_init(&c->main);
	c->main_view = ph_conf_new(c, NULL, program_invocation_short_name, program_invocation_short_name);
	return c;
}

/* A value that cannot be expanded stops the load when somebody may rely on it: a name that we or Postfix know. */
static int verify_settings(struct ph_config *c, const struct ph_conf *view, const struct ph_setting *set, struct ph_err *err)
{
	const char *value;
	struct ph_err why;
	int rc;

	for (; set; set = set->next) {
		rc = ph_conf_value(view, set->name, &value, &why);
		if (rc >= 0)
			continue;
		if (ph_conf_default(view, set->name))
			return ph_err_set(err, rc, "%s", why.text);
		ph_config_note(c, set->file, set->line, "%s", why.text);
	}
	return 0;
}

static int verify_level(struct ph_config *c, struct ph_err *err)
{
	const char *text = "";
	int64_t level;
	int rc = ph_conf_value(c->main_view, "compatibility_level", &text, err);

	if (rc < 0)
		return rc;
	if (ph_parse_level(text, &level) < 0)
		return ph_err_set(err, -EINVAL, "%s: malformed compatibility level syntax: \"%s\"; expected something like 3.6",
				  ph_setting_where(c->main_view, "compatibility_level", c->arena), text);
	return 0;
}

/* The general settings, too: everybody asks for them and relies on an answer. */
static int verify(struct ph_config *c, struct ph_err *err)
{
	const struct ph_general_settings *g;
	const struct ph_conf *view;
	size_t i;
	int rc;

	if (c->flags & PH_CONFIG_NO_VERIFY)
		return 0;
	rc = ph_conf_general_check(c->main_view, &g, err);
	if (rc == 0 && !(c->flags & PH_CONFIG_NO_MASTER))
		rc = verify_settings(c, c->main_view, c->main.first, err);
	for (i = 0; rc == 0 && i < c->n_services; i++) {
		view = c->services[i].conf;
		rc = ph_conf_general_check(view, &g, err);
		if (rc == 0)
			rc = verify_settings(c, view, view->overrides.first, err);
	}
	return rc;
}

struct ph_config *ph_config_empty(const char *dir, unsigned flags)
{
	ph_params_init();
	return config_new(dir, flags);
}

int ph_config_add_master(struct ph_config *c, struct ph_err *err)
{
	struct ph_buf text;
	int rc;

	ph_buf_init(&text, PH_MAX_CONFIG_BYTES);
	rc = ph_config_read_file(c->master_file, &text, err);
	if (rc == 0)
		rc = ph_mastercf_parse(c, c->master_file, ph_buf_str(&text), text.len, err);
	ph_buf_done(&text);
	return rc < 0 ? rc : 0;
}

int ph_config_load(const char *dir, unsigned flags, struct ph_config **ret, struct ph_err *err)
{
	struct ph_config *c;
	struct ph_buf text;
	int rc;

	ph_params_init();
	c = config_new(dir, flags);
	ph_buf_init(&text, PH_MAX_CONFIG_BYTES);
	if ((rc = ph_config_read_file(c->main_file, &text, err)) < 0 ||
	    (rc = ph_maincf_parse(c, c->main_file, ph_buf_str(&text), text.len, err)) < 0)
		goto out;
	if (!(flags & PH_CONFIG_NO_VERIFY) && (rc = verify_level(c, err)) < 0)
		goto out;
	if (!(flags & PH_CONFIG_NO_MASTER) && (rc = ph_config_add_master(c, err)) < 0)
		goto out;
	rc = verify(c, err);
	if (rc == 0 && !(flags & (PH_CONFIG_NO_VERIFY | PH_CONFIG_KEEP_ALL)))
		ph_config_drop_disabled(c);
out:
	ph_buf_done(&text);
	if (rc < 0)
		ph_config_free(&c);
	else
		*ret = c;
	return rc < 0 ? rc : 0;
}

int ph_config_parse(const char *main_text, const char *master_text, struct ph_config **ret, struct ph_err *err)
{
	struct ph_config *c;
	int rc;

	ph_params_init();
	c = config_new(".", PH_CONFIG_QUIET);
	c->main_file = "main.cf";
	c->master_file = "master.cf";
	if ((rc = ph_maincf_parse(c, c->main_file, main_text, strlen(main_text), err)) < 0 ||
	    (rc = verify_level(c, err)) < 0)
		goto out;
	if (master_text)
		rc = ph_mastercf_parse(c, c->master_file, master_text, strlen(master_text), err);
	if (rc == 0)
		rc = verify(c, err);
	if (rc == 0)
		ph_config_drop_disabled(c);
out:
	if (rc < 0)
		ph_config_free(&c);
	else
		*ret = c;
	return rc < 0 ? rc : 0;
}

void ph_config_free(struct ph_config **c)
{
	struct ph_arena *a;
	struct ph_conf *view;
	struct ph_attached *at;

	if (*c == NULL)
		return;
	/* Newest first: a later object may use an earlier one. */
	for (view = (*c)->views; view; view = view->next) {
		for (at = view->attached; at; at = at->next) {
			if (at->fn)
				at->fn(at->obj);
		}
	}
	for (view = (*c)->views; view; view = view->next) {
		ph_htab_done(&view->overrides.by_name);
		ph_htab_done(&view->values);
		ph_htab_done(&view->attached_by_key);
	}
	ph_htab_done(&(*c)->main.by_name);
	a = (*c)->arena;
	*c = NULL;
	ph_arena_free(&a);
}

const char *ph_config_dir(const struct ph_config *c)
{
	return c->dir;
}

const struct ph_conf *ph_config_main(const struct ph_config *c)
{
	return c->main_view;
}

const struct ph_service *ph_config_services(const struct ph_config *c, size_t *n)
{
	*n = c->n_services;
	return c->services;
}

const struct ph_service *ph_config_service(const struct ph_config *c, const char *name, enum ph_service_type type)
{
	const struct ph_service *fifo = NULL;
	size_t i;

	for (i = 0; i < c->n_services; i++) {
		if (strcmp(c->services[i].name, name) != 0)
			continue;
		if (c->services[i].type == type)
			return &c->services[i];
		if (c->services[i].type == PH_SVC_FIFO)
			fifo = &c->services[i];
	}
	return type == PH_SVC_UNIX ? fifo : NULL;
}
