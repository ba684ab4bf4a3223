/* posthouse/lookup.h: lookup tables, for those who write one and for those who use one. */
#ifndef POSTHOUSE_LOOKUP_H
#define POSTHOUSE_LOOKUP_H

#include <posthouse/module.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The answer of a look-up.  "The table is down" must never look like "no such key". */
enum ph_lookup {
	PH_LOOKUP_NOTFOUND = 0,
	PH_LOOKUP_FOUND = 1,
	PH_LOOKUP_TEMPFAIL = -1,        /* try again later: mail is deferred */
	PH_LOOKUP_PERMERR = -2,         /* the table is configured wrongly; also defers mail, logged as a configuration error */
};

/* ---- for those who write one --------------------------------------------------------------- */

enum {  /* ph_lookup_ops.flags */
	PH_LOOKUP_PATTERN = 1,          /* regexp-like: keys are asked for whole, never as partial keys (domain, @domain ...) */
	PH_LOOKUP_CASEFOLD = 2,         /* the core folds keys (ph_str_fold) before get, put and del */
	PH_LOOKUP_FILE = 4,             /* name is a file: the core watches it and opens the table anew when it has changed */
	PH_LOOKUP_INLINE = 8,           /* name is the table itself ("inline:{a=b}"), not a path; not checked for existence */
	PH_LOOKUP_NETWORK = 16,         /* get may yield: answers come over a connection, or a writer's lock is waited for */
	PH_LOOKUP_REPEATABLE = 64,      /* a question and its answer have no effects and may be old by 100 ms: the core keeps answers for so long.  Since 1.1 */
	PH_LOOKUP_TEXT = 32,            /* with FILE: edited by hand; a change counts when the file has been left alone for a second */
};
enum {  /* struct ph_table_spec.mode */
	PH_TABLE_READ, PH_TABLE_CREATE /* postmap: empty, new */, PH_TABLE_UPDATE /* postmap -i, -d: read and write */
};

enum {  /* struct ph_table_spec.flags */
	PH_TABLE_NO_NUL = 1,            /* postmap -n: keys and values without, */
	PH_TABLE_WITH_NUL = 2,          /* -N: with a NUL byte at their end; neither: the type's own custom */
};

struct ph_table_spec {
	const char *type, *name;        /* of "type:name"; $name already expanded; "{...}" for an inline one */
	int mode;
	const struct ph_conf *conf;
	const void *settings;           /* the module's settings block */
	unsigned flags;                 /* PH_TABLE_*, CREATE and UPDATE only */
	unsigned perm;                  /* CREATE: permissions of the new file */
};

struct ph_lookup_ops {
	uint32_t size;                  /* sizeof(struct ph_lookup_ops) */
	uint32_t flags;
	/* Open the table.  0 and *ret (handed to the others), or negative with err: the core then puts a surrogate in its place
	 * that answers TEMPFAIL with err's text, and tries again when the file has changed.  Does not yield. */
	int (*open)(const struct ph_table_spec *spec, void **ret, struct ph_err *err);
	/* Look up key (NUL-terminated, at most 64 KiB, folded if so flagged; only postmap asks for an empty one).  FOUND sets *ret_value, in arena or
	 * unchanged until the next call (the core copies it).  err is filled for TEMPFAIL and PERMERR.  May yield when NETWORK is
	 * set: then several gets of one table can be under way at once; close comes when none is. */
	enum ph_lookup (*get)(void *table, const char *key, struct ph_arena *arena, const char **ret_value, struct ph_err *err);
	void (*close)(void *table);
	/* The rest may be NULL: postmap then says that the type cannot do it. */
	int (*put)(void *table, const char *key, const char *value, bool replace, struct ph_err *err); /* -EEXIST: key is there and !replace */
	int (*del)(void *table, const char *key, struct ph_err *err);        /* 0, -ENOENT */
	/* Next entry in table order; first: start over.  1, 0 at the end, negative. */
	int (*next)(void *table, bool first, struct ph_arena *arena, const char **ret_key, const char **ret_value, struct ph_err *err);
	/* FILE only: path of the file that get reads ("/x" -> "/x.db"), in arena; it may answer NULL: none.
	 * Without this function: the name itself. */
	const char *(*path)(const struct ph_table_spec *spec, struct ph_arena *arena);
	/* End of an update (mode CREATE, UPDATE): make it durable and visible.  0 or negative.  Without it close drops what
	 * CREATE has built; what UPDATE has put may be there or not. */
	int (*commit)(void *table, struct ph_err *err);
	/* Flags of this very table where they differ from the ones above (tables made of tables).  PATTERN and NETWORK count. */
	unsigned (*table_flags)(void *table);
};

/* ---- for those who use one ------------------------------------------------------------------ */

/* A list of tables, as in "alias_maps = hash:/x, ldap:/y": the first table that has the key answers. */
struct ph_maps;

/* Open text (a list of "type:name"; $name already expanded).  title: the parameter's name, for messages.  Tables are shared
 * within a configuration, so opening one twice costs nothing.  Never fails: a table that cannot be opened answers
 * TEMPFAIL, a type that does not exist PERMERR.  Lives as long as conf. */
PH_API struct ph_maps *ph_maps_open(const struct ph_conf *conf, const char *title, const char *text);
/* Results may hold folds, LF and a blank (checks of headers: a pattern captures them).  Since 1.1. */
PH_API void ph_maps_allow_lines(struct ph_maps *m);
PH_API bool ph_maps_empty(const struct ph_maps *m);
/* PH_LOOKUP_PATTERN, PH_LOOKUP_NETWORK: what any of its tables is. */
PH_API unsigned ph_maps_flags(const struct ph_maps *m);
/* The whole key in every table.  partial: this is a fragment of an address, host or network: pattern tables are passed over.
 * *ret_value lives in arena.  The empty key is in no table.  A value that is empty, holds a line break, or (smtputf8_enable = yes)
 * is not UTF-8 is logged and answers PERMERR.  err (may be NULL) names the table.  Yields when a table of the list does. */
PH_API enum ph_lookup ph_maps_find(struct ph_maps *m, const char *key, bool partial, struct ph_arena *arena,
				   const char **ret_value, struct ph_err *err);
/* The same, and *ret_owner: the user who owns the file of the table that answered, as alias_maps needs it; 0 for root, and for tables that
 * are no files. */
PH_API enum ph_lookup ph_maps_find_owned(struct ph_maps *m, const char *key, bool partial, struct ph_arena *arena,
					 const char **ret_value, uid_t *ret_owner, struct ph_err *err);
/* Address keys in Postfix's order, each form over all tables before the next:
 * user+ext@dom, user@dom, [user+ext, user when dom is local], @dom, [dom and its parents], [user+ext@, user@].
 * address: internal form; when its quoted form differs, that one is asked for first.  parent_style: the name that stands for this
 * use in parent_domain_matches_subdomains ("smtpd_access_maps"): parents are asked for as "example.com" if it is listed there, else as
 * ".example.com"; NULL: as ".example.com".  *ret_ext (may be NULL): the extension that was cut off to find it ("+ext"), in arena, or
 * NULL.  Source: canonical(5), virtual(5), access(5).  Yields. */
enum { PH_ADDR_FULL = 1, PH_ADDR_NOEXT = 2, PH_ADDR_LOCALPART = 4 /* user+ext, user if local */, PH_ADDR_AT_DOMAIN = 8,
       PH_ADDR_DOMAIN = 16 /* dom, parents */, PH_ADDR_USER_AT = 32 /* user+ext@, user@ */ };
PH_API enum ph_lookup ph_maps_find_address(struct ph_maps *m, const struct ph_conf *conf, const char *address, unsigned forms,
					   const char *parent_style, struct ph_arena *arena, const char **ret_value,
					   const char **ret_ext, struct ph_err *err);

/* Records that a program keeps in a table ("btree:/var/lib/x/cache"; "proxy:" in front is passed over), for all processes of the machine: each call opens
 * the table, so this is for what is rare.  Since 1.1. */
struct ph_records;
/* title: the parameter's name.  Makes the table when it is not there.  0 and *ret, to be freed before conf goes; negative with err: it cannot be written.
 * Yields. */
PH_API int ph_records_open(const struct ph_conf *conf, const char *title, const char *text, struct ph_records **ret, struct ph_err *err);
PH_API void ph_records_free(struct ph_records **r);     /* NULL-safe */
/* FOUND with *ret_value in arena, NOTFOUND, or TEMPFAIL, PERMERR with err.  Yields. */
PH_API enum ph_lookup ph_records_get(struct ph_records *r, const char *key, struct ph_arena *arena, const char **ret_value, struct ph_err *err);
/* Put, replace, or (value NULL) remove one record; durable when 0 is returned.  Negative with err.  Yields. */
PH_API int ph_records_put(struct ph_records *r, const char *key, const char *value, struct ph_err *err);

/* A match list as in mynetworks, mydestination, debug_peer_list: patterns, "!" negation, /file, type:table. */
struct ph_match;
enum { PH_MATCH_DOMAIN = 1 /* names: "example.com" */, PH_MATCH_PARENT = 2 /* and its subdomains */, PH_MATCH_ADDR = 4 /* 10.0.0.0/8, [::1]/128 */,
       PH_MATCH_STRING = 8 /* whole strings */ };
/* Never fails: a bad pattern is logged (file, line) and answers TEMPFAIL when it is reached.  Lives as long as conf. */
PH_API struct ph_match *ph_match_open(const struct ph_conf *conf, const char *title, const char *text, unsigned flags);
/* FOUND, NOTFOUND or TEMPFAIL.  address may be NULL (DOMAIN and STRING lists).  Yields when a table does. */
PH_API enum ph_lookup ph_match_find(struct ph_match *m, const char *name, const char *address, struct ph_err *err);

#ifdef __cplusplus
}
#endif
#endif
