/* fault.h: named points at which tests make things fail.
 *
 * Environment: PH_FAULT="point=ACTION:COUNT,point2=ACTION:COUNT"; ACTION is kill (SIGKILL), abort, stop (SIGSTOP),
 * sleepMS (block for MS milliseconds), or an errno name such as ENOSPC.  COUNT: at the n-th time the point is
 * reached (1 when left out), or "*" each time.  PH_FAULT_FILE names a file with the same (commas or lines), which is
 * read anew whenever it changes, so a test switches faults on and off in a running process; counting starts over then.
 * Ignored in setuid and setgid programs. */
#ifndef PH_BASE_FAULT_H
#define PH_BASE_FAULT_H

#include <stdbool.h>

extern bool ph_fault_active;
int ph_fault_hit(const char *point);

/* 0: go on; -errno: fail with it, as if the system had.  Any thread. */
static inline int ph_fault(const char *point)
{
	return __builtin_expect(ph_fault_active, 0) ? ph_fault_hit(point) : 0;
}

#endif
