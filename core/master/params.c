/* params.c: the master's own parameters. */
#include "config/config.h"

struct master_settings {
	int smtpd_worker_processes, delivery_worker_processes;
	int64_t stop_grace_time;
};

static const struct ph_param master_params[] = {
	PH_P_INT(struct master_settings, smtpd_worker_processes, "smtpd_worker_processes", "0", 0, 64,
		"Processes that serve SMTP clients; 0: one for each processor core."),
	PH_P_INT(struct master_settings, delivery_worker_processes, "delivery_worker_processes", "0", 0, 64,
		"Processes that deliver mail as mail_owner; 0: one for each processor core."),
	PH_P_TIME(struct master_settings, stop_grace_time, "stop_grace_time", "5s", 's', 0, 0,
		"How long sessions and deliveries may go on after \"postfix stop\"."),
};
PH_SETTINGS_TABLE("master", master_params)
