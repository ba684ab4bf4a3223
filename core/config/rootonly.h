/* rootonly.h: files that a configuration names and that root alone can read: tables with passwords, private keys.
 *
 * As in Postfix a process opens them before it gives up root.  Judged by modes, owners and groups of the file and the folders above it; a
 * file that an ACL opens to the user is taken for root's too, which does no harm.  Blocks (stat); nothing yields. */
#ifndef CORE_CONFIG_ROOTONLY_H
#define CORE_CONFIG_ROOTONLY_H

#include "config/config.h"

/* One such file: conf is the view whose own settings name it; word: as it stands there ("proxy:hash:/x", "/x.key"). */
typedef void ph_rootonly_fn(void *arg, const struct ph_conf *conf, const char *word, const char *path, bool is_table);
/* Each one that main.cf and the -o settings of services name and that a process of uid and gid cannot read; maybe some more than once. */
void ph_rootonly_each(const struct ph_config *config, uid_t uid, gid_t gid, ph_rootonly_fn *fn, void *arg);
#endif
