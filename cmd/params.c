/* params.c: parameters that only the commands read.  Source: postconf(5). */
#include "cmd/params.h"

#define S struct ph_cmd_settings
static const struct ph_param cmd_params[] = {
	PH_P_STR(S, flush_users, "authorized_flush_users", "static:anyone", "who may flush the queue"),
	PH_P_STR(S, mailq_users, "authorized_mailq_users", "static:anyone", "who may view the queue"),
	PH_P_STR(S, login_sender_maps, "local_login_sender_maps", "static:*", "envelope senders that a login name may use"),
	PH_P_STR1(S, empty_sender, "empty_address_local_login_sender_maps_lookup_key", "<>", "what stands for the null sender there"),
	PH_P_STR1(S, line_endings, "sendmail_fix_line_endings", "always", "take CR LF for a line end: always, strict, never"),
	PH_P_STR1(S, postlog_service, "postlog_service_name", "postlog", "the socket that commands log through"),
	PH_P_STR(S, verp, "default_verp_delimiters", "+=", "VERP delimiters when nobody names others"),
	PH_P_STR(S, verp_filter, "verp_delimiter_filter", "-=+", "characters that VERP delimiters may be"),
};
#undef S
PH_SETTINGS_TABLE("cmd", cmd_params)

int ph_cmd_settings(const struct ph_conf *conf, struct ph_cmd_settings *ret, struct ph_err *err)
{
	return ph_conf_settings(conf, cmd_params, PH_ARRAY_LEN(cmd_params), ret, err);
}
