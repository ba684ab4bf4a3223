/* instances.h: the instances of postmulti(1).  Blocks. */
#ifndef CMD_INSTANCES_H
#define CMD_INSTANCES_H

#include "config/config.h"

struct ph_instance { const char *dir, *queue_dir, *data_dir, *command_dir, *daemon_dir, *name, *group; bool enabled; };
struct ph_instances {
	struct ph_instance *list;       /* the primary one first, then in the order of multi_instance_directories */
	size_t n;
	const struct ph_conf *conf;     /* the primary one's */
	struct ph_arena *arena;
};

/* All in arena.  0, or negative with err. */
int ph_instances_load(struct ph_instances *ret, struct ph_arena *arena, const char *primary_dir, struct ph_err *err);
/* Make the primary instance the manager of others. */
int ph_instances_init(const struct ph_instances *all, struct ph_err *err);
/* create: make the directories and a main.cf that does nothing yet, from main.cf.proto where there is one; else take over an existing one.  params: "name=value", NULL-terminated;
 * name, group: NULL: not given.  Directories that are not named are the primary one's with the name in place of "postfix". */
int ph_instances_add(const struct ph_instances *all, bool create, const char *name, const char *group, char **params, struct ph_err *err);
/* enable, disable, assign, deport, destroy. */
int ph_instances_change(const struct ph_instances *all, const struct ph_instance *in, const char *action, const char *name, const char *group, struct ph_err *err);
#endif
