/* sni.h: tls_server_sni_maps: certificates by the name that a client asks for. */
#ifndef CORE_SMTPD_SNI_H
#define CORE_SMTPD_SNI_H

#include <posthouse/param.h>
#include <posthouse/tls.h>

/* Make t's server look names up.  t: the settings of the service's own context, complete; its texts live as long as conf.  Before a process
 * gives up its rights: the tables are opened here. */
void ph_sni_use(const struct ph_conf *conf, const char *maps, struct ph_tls_settings *t);
#endif
