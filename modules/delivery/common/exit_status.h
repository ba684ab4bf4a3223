/* exit_status.h: what the end of a delivery command means for the mail: sysexits.h, an enhanced status code at the start of its output, a signal, the time limit.
 *
 * Source: pipe(8) and local(8), "DIAGNOSTICS".  Pure. */
#ifndef MODULES_DELIVERY_EXIT_STATUS_H
#define MODULES_DELIVERY_EXIT_STATUS_H

#include <posthouse/delivery.h>

struct exit_status {
	enum ph_delivery_status status;
	char dsn[12];
	const char *text;               /* the reason; for SENT what the command said, or "" */
	const char *diagnostic;         /* for Diagnostic-Code: "x-unix; ..." */
};
/* command: its name, for texts.  timed_out: it was killed for that; wait_status: as from waitpid(2).  output: what it wrote.  Texts in arena. */
void exit_status(struct ph_arena *arena, const char *command, bool timed_out, int wait_status, const char *output, struct exit_status *ret);
#endif
