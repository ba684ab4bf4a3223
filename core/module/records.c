/* records.c: records that a module keeps in a table ("btree:/var/lib/x/cache"), for all processes of the machine.
 *
 * Owns nothing but the names: the table is opened for each operation, as another process may have written it a moment ago, and who writes holds its lock
 * from opening to closing.  That is for what is rare; what is asked for with each message belongs into ph_maps.  Yields where the table does. */
#include "module/table.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define MODE 0600

struct ph_records {
	const struct ph_conf *conf;
	char *type, *name;
};

static struct ph_table *open_table(const struct ph_records *r, int mode, struct ph_err *err)
{
	return ph_table_open(r->conf, r->type, r->name, mode, 0, MODE, err);
}

/* A table that is not there yet is made. */
static struct ph_table *open_to_write(const struct ph_records *r, struct ph_err *err)
{
	struct ph_table *t = open_table(r, PH_TABLE_UPDATE, err);

	return t || err->code != -ENOENT ? t : open_table(r, PH_TABLE_CREATE, err);
}

/* Changes are on disk and visible only after this. */
static int finish(struct ph_table *t, int r, struct ph_err *err)
{
	const struct ph_lookup_ops *ops = ph_table_ops(t);

	if (r >= 0 && ops->commit)
		r = ops->commit(ph_table_handle(t), err);
	ph_table_close(&t);
	return r;
}

int ph_records_open(const struct ph_conf *conf, const char *title, const char *text, struct ph_records **ret, struct ph_err *err)
{
	struct ph_records *r;
	struct ph_table *t;
	const char *colon;
	int rc = 0;

	if (strncmp(text, "proxy:", 6) == 0)    /* who writes locks the table: no process has to do it for the others */
		text += 6;
	colon = strchr(text, ':');
	if (colon == NULL || colon == text || colon[1] == '\0' || text[strcspn(text, PH_SEP_LIST)])
		return ph_err_set(err, -EINVAL, "%s: need one type:name instead of \"%s\"", title, text);
	r = ph_alloc(sizeof(*r));
	r->conf = conf;
	r->type = ph_strndup(text, (size_t)(colon - text));
	r->name = ph_strdup(colon + 1);
	t = open_to_write(r, err);
	if (t && (ph_table_ops(t)->put == NULL || ph_table_ops(t)->del == NULL)) {
		rc = ph_err_set(err, -ENOTSUP, "%s: tables of type %s cannot be written", title, r->type);
		ph_table_close(&t);
	} else {
		rc = t ? finish(t, 0, err) : err->code; /* a table that is new gets its file */
	}
	if (rc < 0)
		ph_records_free(&r);
	else
		*ret = r;
	return rc < 0 ? rc : 0;
}

void ph_records_free(struct ph_records **rp)
{
	struct ph_records *r = *rp;

	*rp = NULL;
	if (r == NULL)
		return;
	free(r->type);
	free(r->name);
	free(r);
}

enum ph_lookup ph_records_get(struct ph_records *r, const char *key, struct ph_arena *arena, const char **ret_value, struct ph_err *err)
{
	struct ph_table *t = open_table(r, PH_TABLE_READ, err);
	enum ph_lookup found;

	if (t == NULL)
		return err->code == -ENOENT ? PH_LOOKUP_NOTFOUND : PH_LOOKUP_TEMPFAIL;
	found = ph_table_get(t, key, arena, ret_value, err);
	ph_table_close(&t);
	return found;
}

int ph_records_put(struct ph_records *r, const char *key, const char *value, struct ph_err *err)
{
	struct ph_table *t = open_to_write(r, err);
	int rc;

	if (t == NULL)
		return err->code;
	if (value)
		rc = ph_table_ops(t)->put(ph_table_handle(t), key, value, true, err);
	else
		rc = ph_table_ops(t)->del(ph_table_handle(t), key, err);
	return finish(t, rc == -ENOENT && !value ? 0 : rc, err);
}
