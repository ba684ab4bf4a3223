/* maptool.h: what postmap and postalias share: options, opening, asking, deleting, listing. */
#ifndef CMD_MAPTOOL_H
#define CMD_MAPTOOL_H

#include "module/table.h"
#include <posthouse/param.h>
#include <sys/stat.h>

struct ph_config;

struct ph_maptool {
	const char *prog;               /* "postmap" */
	struct ph_config *config;
	const struct ph_conf *conf;
	bool fold;                      /* keys of fixed-string tables in lower case (not with -f) */
	bool incremental;               /* -i */
	bool keep_perm;                 /* the source's permissions (not with -p) */
	bool as_owner;                  /* with the rights of the source's owner (not with -o) */
	bool replace, quiet_dup;        /* -r, -w */
	bool list;                      /* -s */
	bool from_files;                /* -F: values are names of files, kept as base64 */
	bool json;                      /* -j */
	bool aliases;                   /* postalias: lists "key:" */
	int utf8;                       /* 1 -U, 0 -u, -1: as smtputf8_enable says */
	unsigned nul;                   /* PH_TABLE_NO_NUL, PH_TABLE_WITH_NUL */
	int verbose;
	bool headers, body, mime;       /* -h, -b, -m: standard input is a message */
	const char *query, *remove;     /* -q, -d */
	char **args;                    /* [type:]file ... */
	int n_args;
	int status;                     /* exit status */
};

/* "prog: fatal: text" to stderr and the log; exit status 1. */
void ph_maptool_fatal(const char *fmt, ...) PH_PRINTF(1, 2) __attribute__((noreturn));
/* First of all: where messages go. */
void ph_maptool_begin(const struct ph_maptool *t);
/* Read main.cf of dir (-c), say where modules are.  Fatal on errors. */
void ph_maptool_setup(struct ph_maptool *t, const char *dir);
/* Run what the options ask for, in a coroutine: t->status.  create: build one table from its source or standard input. */
void ph_maptool_run(struct ph_maptool *t, void (*create)(struct ph_maptool *t, const char *type, const char *name));
/* Ask the tables in turn and print what the first one says, with the key.  False: none has it. */
bool ph_maptool_query(struct ph_maptool *t, struct ph_table **tables, const char *key, bool with_key);
/* Keys are the headers and body lines of the message on standard input (postmap_message.c).  True when one was found. */
bool ph_postmap_message(struct ph_maptool *t, struct ph_table **tables);
/* "type:name" or "name": into arena. */
void ph_maptool_split(struct ph_maptool *t, struct ph_arena *a, const char *arg, const char **ret_type, const char **ret_name);

/* -F: the content of the files that names lists (it is cut up), a newline between two; NULL: err. */
const char *ph_maptool_files(char *names, struct ph_arena *a, size_t *ret_n, struct ph_err *err);

/* The table that create fills. */
struct ph_mapout {
	struct ph_table *table;
	const struct ph_lookup_ops *ops;
	const char *shown;              /* for messages: the file */
	struct ph_arena *arena;
};
/* source: its file for owner and permissions, or NULL.  Fatal on errors. */
void ph_mapout_open(struct ph_maptool *t, const char *type, const char *name, const struct stat *source, struct ph_mapout *out);
/* Store; duplicates as the options say.  Fatal on errors. */
void ph_mapout_put(struct ph_maptool *t, struct ph_mapout *out, const char *key, const char *value);
void ph_mapout_close(struct ph_maptool *t, struct ph_mapout *out);
#endif
