/* rootfiles.c: tables and keys that root alone can read: opened by each worker before it gives up root, watched by the master.
 *
 * A worker cannot open them again.  So when one has changed the workers are replaced, as by a reload but with the configuration that is in force.
 * State: m->rootfiles.  Does not yield. */
#include "master/internal.h"
#include "config/rootonly.h"
#include "module/table.h"
#include "net/tls.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define LOOK_MS 1000
#define REST_S 1                /* a file that was changed just now may not be complete */

struct ph_rootfile {
	struct ph_rootfile *next;
	char *path;
	struct stat seen;
};

/* ---- in a worker ---- */

static void keep(void *arg, const struct ph_conf *conf, const char *word, const char *path, bool is_table)
{
	if (is_table)
		ph_table_keep(conf, word);
	else
		ph_tls_keep_file(word);
}

void ph_rootfiles_open(const struct ph_master *m)
{
	if (m->is_root)
		ph_rootonly_each(m->current->config, m->owner_uid, m->owner_gid, keep, NULL);
}

/* ---- in the master ---- */

static void watch(void *arg, const struct ph_conf *conf, const char *word, const char *path, bool is_table)
{
	struct ph_master *m = arg;
	struct ph_rootfile *f;

	for (f = m->rootfiles; f; f = f->next)
		if (strcmp(f->path, path) == 0)
			return;
	f = ph_alloc(sizeof *f);
	f->path = ph_strdup(path);
	if (stat(path, &f->seen) < 0)
		memset(&f->seen, 0, sizeof f->seen);
	f->next = m->rootfiles;
	m->rootfiles = f;
}

void ph_rootfiles_watch(struct ph_master *m)
{
	struct ph_rootfile *f;

	while ((f = m->rootfiles) != NULL) {
		m->rootfiles = f->next;
		free(f->path);
		free(f);
	}
	if (m->is_root)
		ph_rootonly_each(m->current->config, m->owner_uid, m->owner_gid, watch, m);
	m->rootfiles_look_ms = ph_now_ms_exact() + LOOK_MS;
}

static bool changed(const struct ph_rootfile *f)
{
	struct stat st;

	if (stat(f->path, &st) < 0)
		return false;           /* being replaced, or gone: what is open serves on */
	if (st.st_ino == f->seen.st_ino && st.st_dev == f->seen.st_dev && st.st_size == f->seen.st_size &&
	    st.st_mtim.tv_sec == f->seen.st_mtim.tv_sec && st.st_mtim.tv_nsec == f->seen.st_mtim.tv_nsec)
		return false;
	if (ph_wall_us() / 1000000 - st.st_mtim.tv_sec <= REST_S && st.st_mtim.tv_sec <= ph_wall_us() / 1000000)
		return false;           /* the next look */
	return true;
}

bool ph_rootfiles_changed(struct ph_master *m, int *ret_wait_ms)
{
	int64_t left = m->rootfiles_look_ms - ph_now_ms_exact();
	bool any = false;

	*ret_wait_ms = -1;
	if (m->rootfiles == NULL)
		return false;
	*ret_wait_ms = left > 0 ? (int)left : LOOK_MS;
	if (left > 0)
		return false;
	m->rootfiles_look_ms = ph_now_ms_exact() + LOOK_MS;
	for (struct ph_rootfile *f = m->rootfiles; f; f = f->next) {
		if (!changed(f))
			continue;
		ph_log(PH_LOG_INFO, "%s has changed -- restarting the processes that root opens it for", f->path);
		any = true;
	}
	return any;
}
