/* sendmail_main.c: the program sendmail; under the names mailq and newaliases it leaves everything to posthouse.
 *
 * Scripts start it for each message, and most of what that costs is loading libraries.  So it is linked with what a submission needs (the configuration,
 * the log, maildrop/), and with neither TLS, DNS nor modules.  What needs more is left to the program posthouse, with the same arguments: tables of users or
 * senders, the alias database, SMTP on standard input.  All of that is known before anything of the message was read. */
#include "cmd/cmd.h"
#include "cmd/sender_acl.h"
#include "cmd/sendmail.h"
#include "smtpd/smtpd.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ALL (PH_SBIN_DIR "/posthouse")

static char **arguments;

static void leave_to_all(void) __attribute__((noreturn));

static void leave_to_all(void)
{
	execv(ALL, arguments);
	ph_sm_fatal("%s: %s", ALL, strerror(errno));
	exit(1);
}

int ph_cmd_user_may(const struct ph_conf *conf, const char *parameter, struct ph_err *err)
{
	if (!ph_cmd_anybody(conf, parameter, "static:anyone"))
		leave_to_all();
	return 1;
}

int ph_sender_allowed(const struct ph_conf *conf, const char *sender, struct ph_err *err)
{
	if (!ph_cmd_anybody(conf, "local_login_sender_maps", NULL))
		leave_to_all();
	return 1;
}

int ph_main_postalias(int argc, char **argv)
{
	leave_to_all();
}

int ph_smtpd_stdio(const struct ph_config *config)
{
	leave_to_all();
}

int main(int argc, char **argv)
{
	static const char *const names[] = { "mailq", "newaliases" };
	const char *slash = argc > 0 ? strrchr(argv[0], '/') : NULL, *called = slash ? slash + 1 : argc > 0 ? argv[0] : "", *name = "sendmail";
	static char *nothing[] = { "sendmail", NULL };

	if (ph_cmd_refuse_setgid())
		return 69;
	if (argc < 1) {
		argc = 1;
		argv = nothing;
	}
	for (size_t i = 0; i < PH_ARRAY_LEN(names); i++)
		if (strcmp(called, names[i]) == 0)
			name = names[i];
	arguments = ph_alloc(((size_t)argc + 2) * sizeof *arguments);
	arguments[0] = (char *)(uintptr_t)"posthouse";
	arguments[1] = (char *)(uintptr_t)name;
	memcpy(arguments + 2, argv + 1, (size_t)(argc - 1) * sizeof *argv);
	ph_cmd_setgid_begin();
	return ph_main_sendmail(argc, argv);
}
