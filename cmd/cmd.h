/* cmd.h: the commands.  One library holds them all; the program's name or its first word chooses (main.c).  Each returns an exit status. */
#ifndef CMD_CMD_H
#define CMD_CMD_H

#include <posthouse/base.h>
#include <posthouse/param.h>

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
int ph_main_postlog(int argc, char **argv);
int ph_main_postkick(int argc, char **argv);
int ph_main_postlock(int argc, char **argv);
int ph_main_postmulti(int argc, char **argv);
int ph_main_modules(int argc, char **argv);
int ph_main_ctl(int argc, char **argv);
int ph_main_explain(int argc, char **argv);
int ph_main_manual(int argc, char **argv);
int ph_main_parameters(int argc, char **argv);

/* -c, else MAIL_CONFIG, else the built-in default. */
const char *ph_cmd_config_dir(const char *from_option);

/* The log as main.cf has it, for a command: log->prog and what it says about stderr stay.  A process that may not write maillog_file
 * logs through the postlog service, when it may use that, else through syslog. */
struct ph_log_config;
void ph_cmd_log_open(const struct ph_conf *conf, struct ph_log_config *log);

/* True, and said on standard error, when the program has rights that it must not have. */
bool ph_cmd_refuse_setgid(void);
/* The real user's login name, or "unknown". */
const char *ph_cmd_user_name(char *buf, size_t size);
/* Does the parameter that says who may say "static:*", or word (may be NULL): is no table needed to know? */
bool ph_cmd_anybody(const struct ph_conf *conf, const char *parameter, const char *word);

/* ---- setgid.c ---- */
bool ph_cmd_is_setgid(void);
/* First of all: descriptors 0 to 2 are open; of a set-gid program also the environment, core dumps and umask are set. */
void ph_cmd_setgid_begin(void);
/* May a set-gid program read this configuration for its user?  Logs when not. */
bool ph_cmd_config_allowed(const char *dir);

/* ---- user_acl.c ---- */
/* Is the real user in the list of this parameter?  1, 0, or negative with err (a table failed). */
int ph_cmd_user_may(const struct ph_conf *conf, const char *parameter, struct ph_err *err);
#endif
