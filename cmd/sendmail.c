/* sendmail.c: sendmail(1), mailq(1), newaliases(1): what is asked for, and by whom.  A message goes to maildrop/, by way of set-gid postdrop
 * where our own rights do not suffice; that works while the router is down.  Exit status: EX_TEMPFAIL for everything that keeps a message
 * from being taken, so that a caller keeps it.  Source: sendmail(1) of Postfix. */
#include "cmd/cmd.h"
#include "cmd/sendmail.h"
#include "cmd/sender_acl.h"
#include "base/log.h"
#include "route/token.h"
#include "smtpd/smtpd.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

#define OPTIONS "+A:B:C:F:GIL:N:O:R:UV:X:b:ce:f:h:imno:p:q::r:tvx"
#define ENVID_MAX 100

void ph_sm_fatal(const char *fmt, ...)
{
	char text[1024];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	ph_log(PH_LOG_FATAL, "%s", text);
	ph_log_flush();
	exit(EX_TEMPFAIL);
}

void ph_sm_fatal_message(const struct ph_sendmail *m, const char *text)
{
	ph_sm_fatal("%s(%ld): %s", m->sender_text, (long)getuid(), text);
}

/* ---- options ---- */

static void set_body(struct ph_sendmail *m, const char *v)
{
	if (strcmp(v, "8BITMIME") == 0)
		m->s.encoding = "8bit";
	else if (strcmp(v, "7BIT") == 0)
		m->s.encoding = "7bit";
	else
		ph_sm_fatal("-B option needs 8BITMIME or 7BIT");
}

/* 0: not a value. */
static unsigned notify_mask(struct ph_sendmail *m, const char *v)
{
	static const struct { const char *name; unsigned bit; } words[] = {
		{ "never", PH_NOTIFY_NEVER }, { "success", PH_NOTIFY_SUCCESS }, { "failure", PH_NOTIFY_FAILURE }, { "delay", PH_NOTIFY_DELAY } };
	char *list = ph_arena_strdup(m->arena, v), *tok;
	unsigned mask = 0;

	while ((tok = ph_str_token(&list, PH_SEP_LIST))) {
		size_t i = 0;

		while (i < PH_ARRAY_LEN(words) && !ph_str_ieq(words[i].name, tok))
			i++;
		if (i == PH_ARRAY_LEN(words)) {
			ph_log(PH_LOG_WARNING, "unknown DSN NOTIFY command value \"%s\" in \"%s\"", tok, v);
			return 0;
		}
		mask |= words[i].bit;
	}
	return (mask & PH_NOTIFY_NEVER) && mask != PH_NOTIFY_NEVER ? 0 : mask;
}

static void set_notify(struct ph_sendmail *m, const char *v)
{
	unsigned mask = notify_mask(m, v);

	if (mask)
		m->s.notify = mask;
	else
		ph_log(PH_LOG_WARNING, "bad -N option value -- ignored");
}

static void set_ret(struct ph_sendmail *m, const char *v)
{
	if (ph_str_ieq(v, "hdrs"))
		m->s.ret = "HDRS";
	else if (ph_str_ieq(v, "full"))
		m->s.ret = "FULL";
	else
		ph_log(PH_LOG_WARNING, "bad -R option value -- ignored");
}

static void set_envid(struct ph_sendmail *m, const char *v)
{
	if (strlen(v) > ENVID_MAX) {
		ph_log(PH_LOG_WARNING, "too long -V option value -- ignored");
		return;
	}
	for (const char *p = v; *p || p == v; p++) {
		if (!isprint((unsigned char)*p)) {
			ph_log(PH_LOG_WARNING, "bad syntax in -V option value -- ignored");
			return;
		}
	}
	m->s.envid = v;
}

static void set_mode(struct ph_sendmail *m, const char *v)
{
	switch (v[0]) {
	case 'm': m->mode = PH_SM_MAIL; break;
	case 'p': m->mode = PH_SM_MAILQ; break;
	case 'i': m->mode = PH_SM_ALIASES; break;
	case 's': m->mode = PH_SM_SMTP; break;
	case 'v': m->s.flags |= PH_ENV_TRACE_ONLY; break;
	case 'd': case 'l': m->mode = PH_SM_DAEMON; break;
	case 'h': case 'H': exit(0);    /* there is no database of host status */
	default: ph_sm_fatal("unsupported: -b%c", v[0]);
	}
}

static void set_queue(struct ph_sendmail *m, const char *v)
{
	if (isdigit((unsigned char)v[0])) {
		if (m->mode == PH_SM_MAIL)
			m->mode = PH_SM_DAEMON;
	} else if (v[0] == '\0') {
		m->mode = PH_SM_FLUSH;
	} else if (v[0] == 'R' || v[0] == 'I') {
		if (v[1] == '\0')
			ph_sm_fatal(v[0] == 'R' ? "specify: -qRsitename" : "specify: -qIqueueid");
		if (m->mode != PH_SM_MAIL)
			ph_sm_fatal("-q%c can be used only in delivery mode", v[0]);
		m->mode = v[0] == 'R' ? PH_SM_SITE : PH_SM_ID;
		m->queue_arg = v + 1;
	} else {
		ph_sm_fatal("-q%c is not implemented", v[0]);
	}
}

static void set_old(struct ph_sendmail *m, const char *v)
{
	if (v[0] == 'i' && !v[1])
		m->dot_ends = false;
	else if (v[0] == 'A' && v[1])
		m->alias_database = v + 1;
	/* others are internals of another program, without meaning here, as in Postfix */
}

static void set_option(struct ph_sendmail *m, int c)
{
	switch (c) {
	case 'B': set_body(m, optarg); break;
	case 'F': m->s.full_name = optarg; break;
	case 'G': m->s.gateway = true; break;
	case 'I': m->mode = PH_SM_ALIASES; break;
	case 'N': set_notify(m, optarg); break;
	case 'R': set_ret(m, optarg); break;
	case 'V': set_envid(m, optarg); break;
	case 'X':
		if (optarg[0] != 'V')
			ph_sm_fatal("unsupported: -X%c", optarg[0]);
		m->verp = optarg + 1;
		break;
	case 'b': set_mode(m, optarg); break;
	case 'f': case 'r': m->given_sender = optarg; break;
	case 'i': m->dot_ends = false; break;
	case 'n': ph_sm_fatal("-n option not supported");
	case 'o': set_old(m, optarg); break;
	case 'q': set_queue(m, optarg ? optarg : ""); break;
	case 't': m->from_headers = true; break;
	case 'O':
		if (ph_str_istarts(optarg, "smtputf8=") && ph_str_ieq(optarg + 9, "yes"))
			m->s.flags |= PH_ENV_SMTPUTF8;
		else if (ph_str_istarts(optarg, "requiretls=") && ph_str_ieq(optarg + 11, "yes"))
			m->s.flags |= PH_ENV_REQUIRETLS;
		break;
	default: break;         /* accepted for the sake of old scripts, as Postfix does */
	}
}

/* "-V" alone (in front of another option) or with two characters was VERP once; else it is the envelope id. */
static bool old_verp(const char *word, const char *next)
{
	if (word[0] != '-' || word[1] != 'V')
		return false;
	return word[2] == '\0' ? next && next[0] == '-' : word[3] != '\0' && word[4] == '\0';
}

/* getopt(3), with old options in their new form.  word: where the word that is being read stands; 0 to begin with. */
static int next_option(struct ph_sendmail *m, int argc, char **argv, int *word)
{
	int at = optind ? optind : 1;

	if (at != *word && at < argc && old_verp(argv[at], argv[at + 1])) {
		m->deprecated = argv[at] + 2;
		argv[at] = ph_arena_printf(m->arena, "-X%s", argv[at] + 1);
	}
	*word = at;
	return getopt(argc, argv, OPTIONS);
}

/* Twice: where the configuration is has to be known before anything can be wrong with the rest. */
static void parse_config(struct ph_sendmail *m, int argc, char **argv)
{
	struct stat st;
	int c, word = 0;

	optind = 0;
	while ((c = next_option(m, argc, argv, &word)) > 0) {
		if (c == 'C')
			m->config_dir = optarg;
		else if (c == 'v')
			m->verbose++;
	}
	if (m->config_dir && stat(m->config_dir, &st) == 0 && S_ISREG(st.st_mode))
		m->config_dir = dirname(ph_arena_strdup(m->arena, m->config_dir));
	if (m->config_dir)
		setenv("MAIL_CONFIG", m->config_dir, 1);
	m->config_dir = ph_cmd_config_dir(NULL);
}

static void parse(struct ph_sendmail *m, int argc, char **argv)
{
	int c, word = 0;

	m->dot_ends = true;
	if (m->deprecated)
		ph_log(PH_LOG_WARNING, "option -V%s is deprecated with Postfix 2.3; specify -XV%s instead", m->deprecated, m->deprecated);
	optind = 0;
	while ((c = next_option(m, argc, argv, &word)) > 0) {
		if (c == '?')
			ph_sm_fatal("usage: %s [options]", "sendmail");
		set_option(m, c);
	}
	if (m->from_headers && m->mode != PH_SM_MAIL)
		ph_sm_fatal("-t can be used only in delivery mode");
	if (m->from_headers && (m->s.flags & PH_ENV_TRACE_ONLY))
		ph_sm_fatal("-t option cannot be used with -bv");
}

/* ---- the envelope ---- */

static const char *add_recipient(void *arg, const char *address)
{
	struct ph_sendmail *m = arg;

	ph_submit_rcpt(&m->s, m->arena, address);
	return NULL;
}

struct senders {
	struct ph_sendmail *m;
	int n;
};

static const char *take_sender(void *arg, const char *address)
{
	struct senders *s = arg;

	if (s->n++ == 0)
		s->m->s.sender = ph_arena_strdup(s->m->arena, address);
	return NULL;
}

/* The full name of the account: the first field of its comment; "&" stands for the login name. */
static const char *account_name(struct ph_sendmail *m, const struct passwd *pw)
{
	const char *gecos = pw->pw_gecos ? pw->pw_gecos : "";
	struct ph_buf b = PH_BUF_INIT(4096);
	const char *name;

	for (size_t n = strcspn(gecos, ",;%"); n > 0; n--, gecos++) {
		if (*gecos == '&')
			ph_buf_printf(&b, "%c%s", toupper((unsigned char)pw->pw_name[0]), pw->pw_name + (*pw->pw_name != 0));
		else
			ph_buf_putc(&b, *gecos);
	}
	name = b.len ? ph_arena_strdup(m->arena, ph_buf_str(&b)) : NULL;
	ph_buf_done(&b);
	return name;
}

static void find_sender(struct ph_sendmail *m)
{
	struct passwd *pw = getpwuid(getuid());
	const char *env = getenv("NAME"), *given = m->given_sender;
	struct senders s = { m, 0 };

	if (!given && !pw)
		ph_sm_fatal("no login name found for user ID %ld", (long)getuid());
	if (!m->s.full_name)
		m->s.full_name = env ? env : pw ? account_name(m, pw) : NULL;
	m->sender_text = given ? given : pw->pw_name;
	if (given && strcmp(given, "<>") == 0)
		m->sender_text = "";
	m->s.sender = "";
	if (!*m->sender_text)
		return;
	if (given)
		ph_addrlist_each(given, strlen(given), 100, m->arena, take_sender, &s);
	else
		m->s.sender = pw->pw_name;
	if (given && s.n != 1)
		ph_log(PH_LOG_WARNING, "-f option specified malformed sender: %s", given);
}

static void find_recipients(struct ph_sendmail *m, int argc, char **argv)
{
	for (int i = optind; i < argc; i++) {
		if (argv[i][strspn(argv[i], " \t")] == '\0')
			ph_submit_rcpt(&m->s, m->arena, "");
		else
			ph_addrlist_each(argv[i], strlen(argv[i]), 1000000, m->arena, add_recipient, m);
	}
	if (m->s.n_rcpts == 0 && !m->from_headers)
		ph_sm_fatal_message(m, "Recipient addresses must be specified on the command line or via the -t option");
}

/* authorized_submit_users, local_login_sender_maps; postdrop asks again, since anybody may run that. */
static void check_rights(struct ph_sendmail *m)
{
	char name[256];
	struct ph_err err;
	int rc = ph_cmd_user_may(m->conf, "authorized_submit_users", &err);

	if (rc == 0)
		ph_sm_fatal("User %s(%ld) is not allowed to submit mail", ph_cmd_user_name(name, sizeof name), (long)getuid());
	if (rc > 0)
		rc = ph_sender_allowed(m->conf, m->s.sender, &err);
	if (rc < 0)
		ph_sm_fatal_message(m, err.text);
}

static void set_verp(struct ph_sendmail *m)
{
	const char *v = m->verp;

	if (!v)
		return;
	if (!*v)
		v = m->set.verp;
	if (strlen(v) != 2 || !strchr(m->set.verp_filter, v[0]) || !strchr(m->set.verp_filter, v[1]))
		ph_sm_fatal("-V requires two characters from %s", m->set.verp_filter);
	m->s.verp = v;
	m->s.flags |= PH_ENV_VERP;
}

static int run_mail(struct ph_sendmail *m, int argc, char **argv)
{
	set_verp(m);
	find_sender(m);
	if (m->s.verp && !*m->s.sender)
		ph_sm_fatal_message(m, "-V option requires non-null sender address");
	check_rights(m);
	find_recipients(m, argc, argv);
	m->s.config_dir = m->config_dir;
	m->s.queue_dir = m->g->queue_directory;
	m->s.size_limit = m->g->message_size_limit;
	if (m->verbose && !(m->s.flags & PH_ENV_TRACE_ONLY))
		m->s.flags |= PH_ENV_TRACE;
	if (m->s.flags & PH_ENV_TRACE_ONLY)
		ph_sm_write_probe(m);
	else
		ph_sm_read_message(m);
	if (ph_submit_end(&m->s) < 0) {
		ph_submit_abort(&m->s);
		ph_sm_fatal_message(m, m->s.err.text);
	}
	if (m->s.flags & (PH_ENV_TRACE | PH_ENV_TRACE_ONLY))
		printf("Mail Delivery Status Report will be mailed to <%s>.\n", m->sender_text);
	return 0;
}

/* ---- other modes ---- */

/* A program of its own: it has rights that this one has not. */
static int run_queue(struct ph_sendmail *m)
{
	char *argv[4] = { "postqueue", NULL };

	argv[1] = m->mode == PH_SM_MAILQ ? "-p" : m->mode == PH_SM_FLUSH ? "-f" : m->mode == PH_SM_SITE ? "-s" : "-i";
	argv[2] = (char *)(uintptr_t)m->queue_arg;
	execv(PH_SBIN_DIR "/postqueue", argv);
	ph_sm_fatal("%s: %s", PH_SBIN_DIR "/postqueue", strerrordesc_np(errno));
}

static int run_aliases(struct ph_sendmail *m)
{
	const char *value = m->alias_database ? m->alias_database : ph_conf_get(m->conf, "alias_database");
	char *list = ph_arena_strdup(m->arena, value), *tok;
	char *argv[40] = { "postalias", "-c", (char *)(uintptr_t)m->config_dir, "--" };
	int n = 4;

	while (n < 39 && (tok = ph_str_token(&list, PH_SEP_LIST)))
		argv[n++] = tok;
	if (n == 4)
		return 0;       /* nothing to build */
	optind = 0;
	return ph_main_postalias(n, argv);
}

/* "postfix start" in the background, as an init script of another mail system expects. */
static int run_daemon(struct ph_sendmail *m)
{
	int null;
	pid_t pid = fork();

	if (pid != 0)
		return pid < 0;
	null = open("/dev/null", O_RDWR | O_CLOEXEC);
	setsid();
	for (int fd = 0; fd < 3; fd++)
		dup2(null, fd);
	execl(PH_SBIN_DIR "/postfix", "postfix", "-c", m->config_dir, "start", (char *)NULL);
	_exit(EX_OSERR);
}

/* Only mail has recipients. */
static void refuse_words(const struct ph_sendmail *m)
{
	static const char *const what[] = {
		[PH_SM_MAILQ] = "display queue mode", [PH_SM_ALIASES] = "alias initialization mode", [PH_SM_SMTP] = "stand-alone mode",
		[PH_SM_FLUSH] = "flush queue mode", [PH_SM_SITE] = "flush site", [PH_SM_ID] = "flush queue_id",
	};

	if ((size_t)m->mode < PH_ARRAY_LEN(what) && what[m->mode])
		ph_sm_fatal("%s requires no recipient", what[m->mode]);
}

int ph_main_sendmail(int argc, char **argv)
{
	struct ph_sendmail m = { .arena = ph_arena_new() };
	struct ph_log_config log = { .prog = "sendmail", .also_stderr = true };
	const char *slash = strrchr(argv[0], '/'), *name = slash ? slash + 1 : argv[0];
	struct ph_config *config;
	struct ph_err err;

	ph_log_open(&log);
	ph_log_set_immediate(true);
	if (strcmp(name, "mailq") == 0)
		m.mode = PH_SM_MAILQ;
	else if (strcmp(name, "newaliases") == 0)
		m.mode = PH_SM_ALIASES;
	if (m.mode != PH_SM_MAIL) {
		log.prog = name;
		ph_log_open(&log);
	}
	parse_config(&m, argc, argv);
	if (ph_config_load(m.config_dir, PH_CONFIG_QUIET, &config, &err) < 0)
		ph_sm_fatal("%s", err.text);
	m.conf = ph_config_main(config);
	m.g = ph_conf_general(m.conf);
	ph_cmd_log_open(m.conf, &log);
	if (ph_cmd_settings(m.conf, &m.set, &err) < 0)
		ph_sm_fatal("%s", err.text);
	if (m.verbose > 1)
		ph_log_set_verbose(m.verbose - 1);
	parse(&m, argc, argv);
	if (optind < argc)
		refuse_words(&m);
	switch (m.mode) {
	case PH_SM_MAIL: return run_mail(&m, argc, argv);
	case PH_SM_ALIASES: return run_aliases(&m);
	case PH_SM_DAEMON: return run_daemon(&m);
	case PH_SM_SMTP:
		log.also_stderr = false;
		ph_cmd_log_open(m.conf, &log);
		return ph_smtpd_stdio(config);
	default: return run_queue(&m);
	}
}
