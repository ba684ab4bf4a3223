/* flush.h: asking the queue manager to try a site's mail now. */
#ifndef CORE_SMTPD_FLUSH_H
#define CORE_SMTPD_FLUSH_H

#include <posthouse/param.h>

/* 0, or negative with err.  Yields. */
int ph_smtpd_flush_site(const struct ph_conf *conf, const char *site, struct ph_err *err);
#endif
