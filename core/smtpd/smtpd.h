/* smtpd.h: the process that speaks SMTP to clients; and pickup, which takes in what sendmail(1) left in maildrop. */
#ifndef CORE_SMTPD_SMTPD_H
#define CORE_SMTPD_SMTPD_H

#include "config/config.h"

struct ph_smtpd_listener { int fd; const struct ph_service *service; };
struct ph_smtpd_config {
	const struct ph_config *config;
	const char *queue_dir;
	unsigned slot;
	const struct ph_smtpd_listener *listeners;
	size_t n_listeners;
	unsigned n_workers;             /* how many processes share the listeners: limits of a service are divided */
	struct ph_limits *limits;       /* smtpd/limits.h: made by the master before it forks, shared by all workers; NULL: this process alone */
};
/* Read the certificates and keys of all smtpd services: before the process gives up its rights.  What goes wrong is logged; the service
 * then has no TLS. */
void ph_smtpd_prepare(const struct ph_config *config);
/* Would this service relay for anyone, as nothing in its lists refuses foreign destinations?  Then it takes no mail, and *ret_text says why (in
 * Postfix's words).  Does not yield. */
bool ph_smtpd_would_relay(const struct ph_config *config, const struct ph_service *service, char *ret_text, size_t cap);
/* Runs until SIGTERM: stops accepting at once, lets sessions finish, ends. */
int ph_smtpd_run(const struct ph_smtpd_config *cfg);
/* One session on descriptors 0 and 1 (sendmail -bs). */
int ph_smtpd_stdio(const struct ph_config *config);

struct ph_pickup_config { const struct ph_config *config; const char *queue_dir; unsigned slot; int trigger; /* bound public/pickup socket */ };
int ph_pickup_run(const struct ph_pickup_config *cfg);
#endif
