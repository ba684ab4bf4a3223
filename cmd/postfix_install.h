/* postfix_install.h: see postfix_install.c. */
#ifndef CMD_POSTFIX_INSTALL_H
#define CMD_POSTFIX_INSTALL_H

#include "config/config.h"

/* words: commands and name=value, NULL-terminated.  The exit status. */
int ph_postfix_install(const struct ph_config *config, char **words);
#endif
