/* sendmail.c: sendmail(1): take a message from standard input and leave it in maildrop/, by way of set-gid postdrop where our own
 * rights do not suffice.  Works while the router is down.  Source: sendmail(1) of Postfix. */
#include "cmd/cmd.h"
#include "cmd/submit.h"
#include "base/log.h"
#include "config/general.h"
#include "route/token.h"
#include "smtpd/smtpd.h"

#include <errno.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

enum mode { MODE_MAIL, MODE_MAILQ, MODE_ALIASES, MODE_SMTP, MODE_FLUSH, MODE_SITE, MODE_ID, MODE_IGNORE };

struct sendmail {
	enum mode mode;
	const char *config_dir, *queue_arg;
	struct ph_submit s;
	bool dot_ends, from_headers;
	struct ph_arena *arena;
	const struct ph_general_settings *g;
};

static void fatal(int status, const char *fmt, ...) PH_PRINTF(2, 3) __attribute__((noreturn));
static void fatal(int status, const char *fmt, ...)
{
	char text[1024];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	ph_log(PH_LOG_FATAL, "%s", text);
	ph_log_flush();
	exit(status);
}

/* ---- options ---- */

static void set_body(struct sendmail *m, const char *v)
{
	if (ph_str_ieq(v, "8BITMIME"))
		m->s.encoding = "8bit";
	else if (ph_str_ieq(v, "7BIT"))
		m->s.encoding = "7bit";
	else
		fatal(EX_USAGE, "-B option needs 7BIT or 8BITMIME, not: %s", v);
}

static void set_notify(struct sendmail *m, const char *v)
{
	static const struct { const char *name; unsigned bit; } words[] = {
		{ "never", PH_NOTIFY_NEVER }, { "success", PH_NOTIFY_SUCCESS }, { "failure", PH_NOTIFY_FAILURE }, { "delay", PH_NOTIFY_DELAY } };
	char *list = ph_arena_strdup(m->arena, v), *tok;

	while ((tok = ph_str_token(&list, PH_SEP_LIST))) {
		size_t i = 0;

		while (i < PH_ARRAY_LEN(words) && !ph_str_ieq(words[i].name, tok))
			i++;
		if (i == PH_ARRAY_LEN(words))
			fatal(EX_USAGE, "bad -N option value -- try 'delay', 'failure', 'success' or 'never'");
		m->s.notify |= words[i].bit;
	}
	if ((m->s.notify & PH_NOTIFY_NEVER) && m->s.notify != PH_NOTIFY_NEVER)
		fatal(EX_USAGE, "bad -N option value -- 'never' stands alone");
}

static void set_ret(struct sendmail *m, const char *v)
{
	if (ph_str_ieq(v, "hdrs"))
		m->s.ret = "HDRS";
	else if (ph_str_ieq(v, "full"))
		m->s.ret = "FULL";
	else
		fatal(EX_USAGE, "bad -R option value -- try 'hdrs' or 'full'");
}

static void set_mode(struct sendmail *m, const char *v)
{
	switch (v[0]) {
	case 'm': m->mode = MODE_MAIL; break;
	case 'p': m->mode = MODE_MAILQ; break;
	case 'i': m->mode = MODE_ALIASES; break;
	case 's': m->mode = MODE_SMTP; break;
	case 'v': m->s.flags |= PH_ENV_TRACE_ONLY; break;
	case 'd': case 'l': case 'h': case 'H': m->mode = MODE_IGNORE; break;
	default: fatal(EX_USAGE, "unsupported: -b%s", v);
	}
}

static void set_queue(struct sendmail *m, const char *v)
{
	m->mode = v[0] == 'R' ? MODE_SITE : v[0] == 'I' ? MODE_ID : v[0] == 'S' || v[0] == 'p' ? MODE_IGNORE : MODE_FLUSH;
	m->queue_arg = v[0] == 'R' || v[0] == 'I' ? v + 1 : NULL;
}

static void set_old(struct sendmail *m, const char *v)
{
	if (v[0] == 'i' && !v[1])
		m->dot_ends = false;
	else if (v[0] == '7' && !v[1])
		m->s.encoding = "7bit";
	else if (v[0] == '8' && !v[1])
		m->s.encoding = "8bit";
	/* -oA, -om, -ox ...: sendmail's internals, without meaning here as in Postfix */
}

static void parse(struct sendmail *m, int argc, char **argv)
{
	const char *full = getenv("NAME");
	int c;

	m->s.full_name = full;
	m->dot_ends = true;
	optind = 1;
	while ((c = getopt(argc, argv, "A:B:C:F:GIL:N:O:R:UV:X:b:ce:f:h:imno:p:q::r:stvx")) > 0) {
		switch (c) {
		case 'B': set_body(m, optarg); break;
		case 'C': m->config_dir = optarg; break;
		case 'F': m->s.full_name = optarg; break;
		case 'I': m->mode = MODE_ALIASES; break;
		case 'N': set_notify(m, optarg); break;
		case 'R': set_ret(m, optarg); break;
		case 'V': m->s.envid = optarg; break;
		case 'b': set_mode(m, optarg); break;
		case 'f': case 'r': m->s.sender = optarg; break;
		case 'i': m->dot_ends = false; break;
		case 'o': set_old(m, optarg); break;
		case 'q': set_queue(m, optarg ? optarg : ""); break;
		case 't': m->from_headers = true; break;
		case 'v': m->s.flags |= PH_ENV_TRACE; break;
		case 'O':
			if (ph_str_istarts(optarg, "smtputf8="))
				m->s.flags |= ph_str_ieq(optarg + 9, "yes") ? PH_ENV_SMTPUTF8 : 0;
			break;
		case 'A': case 'G': case 'L': case 'U': case 'X': case 'c': case 'e': case 'h': case 'm': case 'n': case 'p': case 's': case 'x':
			break;          /* accepted for the sake of old scripts, as Postfix does */
		default:
			fatal(EX_USAGE, "usage: %s [options] [recipient ...]", argv[0]);
		}
	}
}

/* ---- addresses ---- */

static const char *add_recipient(void *arg, const char *address)
{
	struct sendmail *m = arg;

	ph_submit_rcpt(&m->s, m->arena, address);
	return NULL;
}

static const char *take_sender(void *arg, const char *address)
{
	struct sendmail *m = arg;

	m->s.sender = ph_arena_strdup(m->arena, address);
	return NULL;
}

static void collect_addresses(struct sendmail *m, const char *text, size_t n, ph_addrlist_fn *fn)
{
	ph_addrlist_each(text, n, 1000000, m->arena, fn, m);
}

static void find_sender(struct sendmail *m)
{
	struct passwd *pw;
	const char *given = m->s.sender;

	if (given && (!*given || strcmp(given, "<>") == 0)) {
		m->s.sender = "";
		return;
	}
	if (given) {
		m->s.sender = "";
		collect_addresses(m, given, strlen(given), take_sender);
		return;
	}
	pw = getpwuid(getuid());
	if (!pw)
		fatal(EX_NOUSER, "no login name found for user ID %ld", (long)getuid());
	m->s.sender = ph_arena_strdup(m->arena, pw->pw_name);
	/* The full name of the account: the first field of its comment, "&" is the login name. */
	if (!m->s.full_name && pw->pw_gecos) {
		char *name = ph_arena_strndup(m->arena, pw->pw_gecos, strcspn(pw->pw_gecos, ",;"));

		if (*name && !strchr(name, '&'))
			m->s.full_name = name;
	}
}

/* ---- content ---- */

#define HEADER_MAX (4 * 1024 * 1024)

struct input {
	struct sendmail *m;
	struct ph_buf head;             /* the header section, while recipients are taken from it */
	struct ph_buf logical;          /* the header being collected */
	bool in_head, continued, any;
};

static bool is_recipient_header(const char *line, size_t n, const char **ret_value)
{
	static const char *const names[] = { "to", "cc", "bcc", "resent-to", "resent-cc", "resent-bcc" };
	const char *colon = memchr(line, ':', n);
	size_t len = colon ? (size_t)(colon - line) : 0;

	while (len > 0 && (line[len - 1] == ' ' || line[len - 1] == '\t'))
		len--;
	for (size_t i = 0; colon && i < PH_ARRAY_LEN(names); i++) {
		if (strlen(names[i]) == len && strncasecmp(line, names[i], len) == 0) {
			*ret_value = colon + 1;
			return true;
		}
	}
	return false;
}

static void header_done(struct input *in)
{
	struct ph_buf *b = &in->logical;
	const char *value;

	if (b->len > 0 && in->m->from_headers && is_recipient_header(b->data, b->len, &value))
		collect_addresses(in->m, value, (size_t)(b->data + b->len - value), add_recipient);
	ph_buf_clear(b);
}

static void begin_content(struct input *in)
{
	struct ph_submit *s = &in->m->s;

	header_done(in);
	in->in_head = false;
	if (s->n_rcpts == 0)
		fatal(EX_USAGE, in->m->from_headers ? "No recipient addresses found in message header" :
			"Recipient addresses must be specified on the command line or via the -t option");
	if (ph_submit_begin(s) < 0 || ph_submit_content(s, in->head.data, in->head.len) < 0)
		fatal(EX_TEMPFAIL, "%s", s->err.text);
}

/* Is this line part of the header section?  "name:", a fold, or at the very top an mbox "From " line. */
static bool header_line(const struct input *in, const char *line, size_t n)
{
	size_t i = 0;

	if (n == 0)
		return false;
	if (line[0] == ' ' || line[0] == '\t')
		return in->any;
	if (!in->any && n > 5 && memcmp(line, "From ", 5) == 0)
		return true;
	while (i < n && line[i] > ' ' && line[i] < 127 && line[i] != ':')
		i++;
	while (i < n && (line[i] == ' ' || line[i] == '\t'))
		i++;
	return i > 0 && i < n && line[i] == ':';
}

static void take_line(struct input *in, const char *line, size_t n, bool ended)
{
	if (in->in_head) {
		bool header = in->continued || header_line(in, line, n);

		if (!header || in->head.len + n > HEADER_MAX) {
			begin_content(in);
		} else {
			if (line[0] != ' ' && line[0] != '\t' && !in->continued)
				header_done(in);
			ph_buf_append(&in->logical, line, n);
			ph_buf_append(&in->head, line, n);
			ph_buf_puts(&in->head, ended ? "\n" : "");
			in->any = true;
			in->continued = !ended;
			return;
		}
	}
	if (ph_submit_content(&in->m->s, line, n) < 0 || (ended && ph_submit_content(&in->m->s, "\n", 1) < 0))
		fatal(EX_TEMPFAIL, "%s", in->m->s.err.text);
	in->continued = !ended;
}

static void read_message(struct sendmail *m)
{
	struct input in = { .m = m, .head = PH_BUF_INIT(HEADER_MAX + 65536), .logical = PH_BUF_INIT(HEADER_MAX + 65536), .in_head = true };
	char *line = NULL;
	size_t cap = 0;
	ssize_t n;

	while ((n = getline(&line, &cap, stdin)) >= 0) {
		bool ended = n > 0 && line[n - 1] == '\n';

		if (ended)
			n--;
		if (ended && n > 0 && line[n - 1] == '\r')
			n--;            /* sendmail_fix_line_endings = always */
		if (m->dot_ends && n == 1 && line[0] == '.')
			break;
		take_line(&in, line, (size_t)n, true);
	}
	if (ferror(stdin))
		fatal(EX_DATAERR, "standard input: %s", strerror(errno));
	if (in.in_head)
		begin_content(&in);
	free(line);
	ph_buf_done(&in.head);
	ph_buf_done(&in.logical);
}

static int run_mail(struct sendmail *m, int argc, char **argv)
{
	int status;

	find_sender(m);
	for (int i = optind; i < argc; i++)
		collect_addresses(m, argv[i], strlen(argv[i]), add_recipient);
	if (m->s.n_rcpts == 0 && !m->from_headers)
		fatal(EX_USAGE, "Recipient addresses must be specified on the command line or via the -t option");
	m->s.config_dir = m->config_dir;
	m->s.queue_dir = m->g->queue_directory;
	if (m->s.flags & PH_ENV_TRACE_ONLY) {
		if (ph_submit_begin(&m->s) < 0)
			fatal(EX_TEMPFAIL, "%s", m->s.err.text);
	} else {
		read_message(m);
	}
	status = ph_submit_end(&m->s);
	if (status != 0)
		fatal(status, "%s", m->s.err.text);
	return 0;
}

/* ---- other modes ---- */

static int run_queue(struct sendmail *m)
{
	char *argv[6] = { "postqueue", "-c", (char *)m->config_dir, NULL };
	int n = 3;

	argv[n++] = m->mode == MODE_MAILQ ? "-p" : m->mode == MODE_FLUSH ? "-f" : m->mode == MODE_SITE ? "-s" : "-i";
	if (m->queue_arg)
		argv[n++] = (char *)m->queue_arg;
	argv[n] = NULL;
	optind = 1;
	return ph_main_postqueue(n, argv);
}

static int run_aliases(struct sendmail *m, const struct ph_conf *conf)
{
	char *list = ph_arena_strdup(m->arena, ph_conf_get(conf, "alias_database")), *tok;
	char *argv[40] = { "postalias", "-c", (char *)m->config_dir, "--" };
	int n = 4;

	while (n < 39 && (tok = ph_str_token(&list, PH_SEP_LIST)))
		argv[n++] = tok;
	if (n == 4)
		return 0;       /* nothing to build */
	optind = 1;
	return ph_main_postalias(n, argv);
}

int ph_main_sendmail(int argc, char **argv)
{
	struct sendmail m = { .arena = ph_arena_new() };
	struct ph_log_config log = { .prog = "sendmail", .also_stderr = true };
	const char *slash = strrchr(argv[0], '/'), *name = slash ? slash + 1 : argv[0];
	struct ph_config *config;
	struct ph_err err;

	ph_log_open(&log);
	ph_log_set_immediate(true);
	if (strcmp(name, "mailq") == 0)
		m.mode = MODE_MAILQ;
	else if (strcmp(name, "newaliases") == 0)
		m.mode = MODE_ALIASES;
	parse(&m, argc, argv);
	m.config_dir = ph_cmd_config_dir(m.config_dir);
	if (ph_config_load(m.config_dir, PH_CONFIG_QUIET, &config, &err) < 0)
		fatal(EX_CONFIG, "%s", err.text);
	m.g = ph_conf_general(ph_config_main(config));
	log.syslog_name = m.g->syslog_name;
	ph_log_open(&log);
	switch (m.mode) {
	case MODE_MAIL: return run_mail(&m, argc, argv);
	case MODE_ALIASES: return run_aliases(&m, ph_config_main(config));
	case MODE_SMTP: return ph_smtpd_stdio(config, m.g->queue_directory);
	case MODE_IGNORE: return 0;
	default: return run_queue(&m);
	}
}
