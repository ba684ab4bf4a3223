/* crash.c: names the coroutine that crashed, so that an administrator knows which module to look at.
 *
 * Runs in a signal handler on a stack of its own: nothing but write() and plain memory.  Lines of this turn that
 * are still collected come first, unless the crash happened while the log was locked.  State: the signal stack. */
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "base/co_private.h"
#include "base/crash.h"
#include "base/log.h"

static char stack[16384];

static size_t put(char *to, size_t at, size_t size, const char *text)
{
	while (text && *text && at + 1 < size)
		to[at++] = *text++;
	return at;
}

static size_t put_number(char *to, size_t at, size_t size, unsigned n)
{
	char digits[12];
	int i = sizeof(digits) - 1;

	digits[i] = '\0';
	do {
		digits[--i] = (char)('0' + n % 10);
		n /= 10;
	} while (n > 0 && i > 0);
	return put(to, at, size, digits + i);
}

static void on_crash(int signo)
{
	const struct ph_co *co = ph_co_self();
	const char *syslog_name = NULL, *prog = NULL;
	char text[256], pid[16];
	size_t n = 0;

	if (co)
		ph_co_ident(co, &syslog_name, &prog);
	n = put(text, n, sizeof(text), "panic: signal ");
	n = put_number(text, n, sizeof(text), (unsigned)signo);
	n = put(text, n, sizeof(text), co ? " in coroutine " : " outside of any coroutine");
	n = put(text, n, sizeof(text), co ? ph_co_name(co) : NULL);
	text[n] = '\0';
	pid[put_number(pid, 0, sizeof(pid), (unsigned)getpid())] = '\0';
	ph_log_crash(syslog_name, prog, pid, text);
	raise(signo);           /* SA_RESETHAND: the default action now */
}

void ph_crash_report(void)
{
	static const int signals[] = { SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT };
	stack_t ss = { .ss_sp = stack, .ss_size = sizeof(stack) };
	struct sigaction sa = { .sa_handler = on_crash, .sa_flags = SA_ONSTACK | SA_RESETHAND | SA_NODEFER };
	size_t i;

	sigaltstack(&ss, NULL);
	for (i = 0; i < PH_ARRAY_LEN(signals); i++)
		sigaction(signals[i], &sa, NULL);
}
