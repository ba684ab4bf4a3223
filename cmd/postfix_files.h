/* postfix_files.h: the files of an installation and who owns them.  Blocks. */
#ifndef CMD_POSTFIX_FILES_H
#define CMD_POSTFIX_FILES_H

#include "config/config.h"
#include "config/general.h"

/* Log a warning for each finding.  0, or negative with err when the mail system cannot start like this. */
int ph_files_check(const struct ph_config *config, struct ph_err *err);
/* Make the folders that are missing. */
int ph_files_create(const struct ph_config *config, struct ph_err *err);
/* mail_owner, setgid_group: NULL: as in main.cf. */
int ph_files_set_permissions(const struct ph_config *config, const char *mail_owner, const char *setgid_group, struct ph_err *err);
#endif
