/* sandbox.h: what a worker gives up for good, beyond its user's rights. */
#ifndef CORE_MASTER_SANDBOX_H
#define CORE_MASTER_SANDBOX_H

#include "master/internal.h"

/* Confine this process, which has no other thread yet and has given up root.  Logs what the kernel has not; ends the process when
 * the kernel has it and it fails. */
void ph_sandbox_enter(const struct ph_generation *g, enum ph_role role);

#endif
