/* exit_status.c: see exit_status.h. */
#include "exit_status.h"

#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <sysexits.h>

static const struct known { int status; enum ph_delivery_status result; const char *dsn, *text; } table[] = {
	{ EX_USAGE, PH_BOUNCED, "5.3.0", "command line usage error" },
	{ EX_DATAERR, PH_BOUNCED, "5.6.0", "data format error" },
	{ EX_NOINPUT, PH_BOUNCED, "5.3.0", "cannot open input" },
	{ EX_NOUSER, PH_BOUNCED, "5.1.1", "user unknown" },
	{ EX_NOHOST, PH_BOUNCED, "5.1.2", "host name unknown" },
	{ EX_UNAVAILABLE, PH_BOUNCED, "5.3.0", "service unavailable" },
	{ EX_SOFTWARE, PH_BOUNCED, "5.3.0", "internal software error" },
	{ EX_OSERR, PH_DEFERRED, "4.3.0", "system resource problem" },
	{ EX_OSFILE, PH_BOUNCED, "5.3.0", "critical OS file missing" },
	{ EX_CANTCREAT, PH_BOUNCED, "5.2.0", "can't create user output file" },
	{ EX_IOERR, PH_BOUNCED, "5.3.0", "input/output error" },
	{ EX_TEMPFAIL, PH_DEFERRED, "4.3.0", "temporary failure" },
	{ EX_PROTOCOL, PH_BOUNCED, "5.5.0", "remote error in protocol" },
	{ EX_NOPERM, PH_BOUNCED, "5.7.0", "permission denied" },
	{ EX_CONFIG, PH_BOUNCED, "5.3.5", "local configuration error" },
};

static const struct known *find(int status)
{
	for (size_t i = 0; i < PH_ARRAY_LEN(table); i++)
		if (table[i].status == status)
			return &table[i];
	return NULL;
}

/* One line without control characters. */
static char *neutral(struct ph_arena *arena, const char *output)
{
	char *copy = ph_arena_strdup(arena, output);

	for (char *p = copy; *p; p++) {
		if (*p == '\n' || *p == '\t')
			*p = ' ';
		else if ((unsigned char)*p < ' ' || *p == 127)
			*p = '_';
	}
	return copy;
}

static const char *trimmed(struct ph_arena *arena, const char *s)
{
	size_t n;

	s += strspn(s, " ");
	for (n = strlen(s); n && s[n - 1] == ' '; n--)
		;
	return ph_arena_strndup(arena, s, n);
}

static size_t digits(const char *p, size_t most)
{
	size_t n = strspn(p, "0123456789");

	return n >= 1 && n <= most ? n : 0;
}

/* "4.7.1 text": the length of the code, 0 when there is none. */
static size_t code_length(const char *p)
{
	size_t a, b;

	if ((*p != '2' && *p != '4' && *p != '5') || p[1] != '.')
		return 0;
	a = digits(p + 2, 3);
	if (!a || p[2 + a] != '.')
		return 0;
	b = digits(p + 3 + a, 3);
	return b && (p[3 + a + b] == ' ' || !p[3 + a + b]) ? 3 + a + b : 0;
}

/* The command has said itself what it means. */
static bool own_code(struct ph_arena *arena, const char *said, const char *otherwise, struct exit_status *ret)
{
	size_t n = code_length(said);
	const char *text = said + n + strspn(said + n, " ");

	if (n == 0)
		return false;
	ret->status = *said == '4' ? PH_DEFERRED : PH_BOUNCED;
	if (*said == '2')
		strcpy(ret->dsn, "5.0.0");      /* it failed, whatever it thinks */
	else
		snprintf(ret->dsn, sizeof ret->dsn, "%.*s", (int)n, said);
	ret->text = *text ? text : otherwise;
	ret->diagnostic = trimmed(arena, ret->text);
	return true;
}

static void failed(struct ph_arena *arena, const char *command, int status, const char *said, struct exit_status *ret)
{
	const struct known *k = find(status);
	const char *text = k ? k->text : ph_arena_printf(arena, "Command died with status %d: \"%s\"", status, command);

	if (own_code(arena, said, text, ret))
		return;
	ret->status = k ? k->result : PH_BOUNCED;
	strcpy(ret->dsn, k ? k->dsn : "5.3.0");
	ret->text = *said ? ph_arena_printf(arena, "%s. Command output: %s", text, said) : text;
	ret->diagnostic = *trimmed(arena, said) ? trimmed(arena, said) : k ? k->text : ph_arena_printf(arena, "unknown mail system error %d", status);
}

void exit_status(struct ph_arena *arena, const char *command, bool timed_out, int wait_status, const char *output, struct exit_status *ret)
{
	const char *said = neutral(arena, output), *text;
	bool killed = !timed_out && WIFSIGNALED(wait_status);

	if (!timed_out && WIFEXITED(wait_status) && WEXITSTATUS(wait_status) == 0) {
		*ret = (struct exit_status){ PH_SENT, "2.0.0", trimmed(arena, said), NULL };
		return;
	}
	if (timed_out || killed) {
		if (timed_out)
			text = ph_arena_printf(arena, "Command time limit exceeded: \"%s\"", command);
		else
			text = ph_arena_printf(arena, "Command died with signal %d: \"%s\"", WTERMSIG(wait_status), command);
		*ret = (struct exit_status){ .status = timed_out ? PH_BOUNCED : PH_DEFERRED, .diagnostic = trimmed(arena, said) };
		strcpy(ret->dsn, timed_out ? "5.3.0" : "4.3.0");
		ret->text = *said ? ph_arena_printf(arena, "%s. Command output: %s", text, said) : text;
		if (!*ret->diagnostic)
			ret->diagnostic = find(EX_SOFTWARE)->text;
	} else {
		failed(arena, command, WEXITSTATUS(wait_status), said, ret);
	}
	ret->diagnostic = ph_arena_printf(arena, "x-unix; %s", ret->diagnostic);
}
