/* sender_acl.h: local_login_sender_maps: which envelope senders a login name may use. */
#ifndef CMD_SENDER_ACL_H
#define CMD_SENDER_ACL_H

#include <posthouse/param.h>

/* Does one pattern of a result allow sender?  "*": any; "<>": the null sender; "@domain" and "user@domain": as they stand.  Pure. */
bool ph_sender_pattern(const char *pattern, const char *sender, const char *delimiter);
/* May the real user send as sender ("": the null sender)?  1, or negative with err ("... is not authorized").  Blocks. */
int ph_sender_allowed(const struct ph_conf *conf, const char *sender, struct ph_err *err);
#endif
