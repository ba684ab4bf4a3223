/* cmd.h: the commands.  One binary holds them all; its name or its first word chooses (main.c).  Each returns an exit status. */
#ifndef CMD_CMD_H
#define CMD_CMD_H

#include <posthouse/base.h>

int ph_main_posthouse(int argc, char **argv);   /* check, explain, modules, ctl, master ... */
int ph_main_postfix(int argc, char **argv);
int ph_main_postconf(int argc, char **argv);
int ph_main_postmap(int argc, char **argv);
int ph_main_postalias(int argc, char **argv);
int ph_main_postqueue(int argc, char **argv);
int ph_main_mailq(int argc, char **argv);
int ph_main_postsuper(int argc, char **argv);
int ph_main_postcat(int argc, char **argv);
int ph_main_sendmail(int argc, char **argv);
int ph_main_postdrop(int argc, char **argv);
int ph_main_modules(int argc, char **argv);
int ph_main_ctl(int argc, char **argv);
int ph_main_explain(int argc, char **argv);
int ph_main_manual(int argc, char **argv);

/* -c, else MAIL_CONFIG (not for set-gid programs), else the built-in default. */
const char *ph_cmd_config_dir(const char *from_option);
#endif
