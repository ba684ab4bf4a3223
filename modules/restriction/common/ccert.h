/* ccert.h: what the restrictions about client certificates share. */
#ifndef MODULES_RESTRICTION_COMMON_CCERT_H
#define MODULES_RESTRICTION_COMMON_CCERT_H

#include <posthouse/module.h>
#include <posthouse/restriction.h>
#include <posthouse/tls.h>
#include <string.h>

/* A client is only asked for a certificate when the configuration says so. */
static inline void ccert_warn(const struct ph_conf *conf, const char *restriction)
{
	const char *ask = ph_conf_get(conf, "smtpd_tls_ask_ccert"), *req = ph_conf_get(conf, "smtpd_tls_req_ccert");

	if (!(ask && ph_str_ieq(ask, "yes")) && !(req && ph_str_ieq(req, "yes")))
		ph_log(PH_LOG_WARNING, "%s is requested, but \"%s = no\"", restriction, "smtpd_tls_ask_ccert");
}

#endif
