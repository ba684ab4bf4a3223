/* crash.h: last words of a worker. */
#ifndef PH_BASE_CRASH_H
#define PH_BASE_CRASH_H

/* From now on a crash (SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT) first logs "panic: signal N in coroutine NAME", with
 * the coroutine's identity, and then takes its course.  Works on an overflowing coroutine stack, too. */
void ph_crash_report(void);

#endif
