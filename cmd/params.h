/* params.h: parameters that only the commands read. */
#ifndef CMD_PARAMS_H
#define CMD_PARAMS_H

#include "config/config.h"

struct ph_cmd_settings {
	const char *flush_users, *mailq_users, *login_sender_maps, *empty_sender, *line_endings, *postlog_service, *verp, *verp_filter;
};

/* 0, or negative with err. */
int ph_cmd_settings(const struct ph_conf *conf, struct ph_cmd_settings *ret, struct ph_err *err);
#endif
