/* config_check.c: what "posthouse check" says, and that declarations of one parameter agree with each other and with Postfix.
 * Misspelt and obsolete names are told (N-344). */
#include <stdlib.h>

#include "config/private.h"
#include "tap.h"

static struct ph_buf said;

static void report(void *arg, int severity, const char *file, int line, const char *text)
{
	ph_buf_printf(&said, "%s %s:%d %s\n", severity == PH_CHECK_ERROR ? "E" : "W", file ? file : "-", line, text);
}

static int run(const char *main_text, const char *master_text)
{
	struct ph_config *c = NULL;
	struct ph_err err;
	int n;

	ph_buf_clear(&said);
	if (ph_config_parse(main_text, master_text, &c, &err) < 0) {
		tap_ok(false, "%s", err.text);
		return -1;
	}
	n = ph_config_check(c, report, NULL);
	ph_config_free(&c);
	return n;
}

static void says(const char *main_text, const char *master_text, int errors, const char *want)
{
	int n = run(main_text, master_text);

	tap_ok(n == errors && strcmp(ph_buf_str(&said), want) == 0, "%.50s: %s", main_text, want);
	if (strcmp(ph_buf_str(&said), want) != 0)
		printf("# got %d %s\n", n, ph_buf_str(&said));
}

#define SMTPD "smtp inet n - n - - smtpd\n"

static void test_check(void)
{
	says("", SMTPD, 0, "");
	says("myhostname = a.example\n", SMTPD, 0, "");
	says("biff = no\nreadme_directory = /x\n", SMTPD, 0, "");
	says("\nfoo = x\n", SMTPD, 0, "W main.cf:2 unused parameter: foo=x\n");
	says("foo = x\nmyorigin = $foo\n", SMTPD, 0, "");
	says("foo = x\nbar = ${foo?y}\n", SMTPD, 0, "W main.cf:2 unused parameter: bar=${foo?y}\n");
	run("smtpd_restriction_classes = foo, bar\nfoo = permit\nbar=reject\n", SMTPD);
	tap_ok(strstr(ph_buf_str(&said), "unused") == NULL, "restriction classes");
	says("virtual_alias_maps = proxy:ldap:acc, hash:/x\nacc_server_host = h\naccx_server_host = h\n", SMTPD, 0,
	     "W main.cf:3 unused parameter: accx_server_host=h\n");
	run("queue_run_delay = 0\n", SMTPD);   /* declared by the queue manager */
	tap_ok(strcmp(ph_buf_str(&said), "E -:0 main.cf, line 1: invalid queue_run_delay: 0 (min 1s)\n") == 0, "%s", ph_buf_str(&said));
	says("mynetworks = 127.0.0.0/8, 10.0.0.1/8\n", SMTPD, 1, "E main.cf:1 mynetworks: non-null host address bits in \"10.0.0.1/8\", "
	     "perhaps you should use \"10.0.0.0/8\" instead\n");
	says("mynetworks = 0.0.0.0/0\n", SMTPD, 0, "W main.cf:1 mynetworks holds the whole Internet: everybody may relay mail through this system\n");
	says("a = 1\na = 2\nmyorigin = $a\n", SMTPD, 0, "W main.cf:2 overriding earlier entry: a=1 (line 1)\n");
	says("foo_destination_rate_delay = 1s\n", "smtp unix - - n - - smtp\n", 0, "W main.cf:1 unused parameter: foo_destination_rate_delay=1s\n");
	says("smtp_time_limit = 1s\n", "smtp unix - - n - - smtp\n", 0, "");
}

static void test_unowned(void)
{
	/* Not declared in this program; what a real one declares, it supports. */
	if (ph_param_find("qmqpd_error_delay") || ph_param_find("qmqpd_authorized_clients")) {
		tap_ok(true, "# skip qmqpd is supported");
		return;
	}
	says("qmqpd_error_delay = 5s\n", SMTPD, 0, "W main.cf:1 parameter qmqpd_error_delay is not supported and has no effect\n");
	says("qmqpd_error_delay = 1s\n", SMTPD, 0, "");
	says("qmqpd_authorized_clients = 10.0.0.0/8\n", SMTPD, 1, "E main.cf:1 parameter qmqpd_authorized_clients is not supported, and the "
	     "system would be less safe without it; remove it if you can do without\n");
	says("", SMTPD "  -o qmqpd_error_delay=7s -o xx=$yy -o yy=z\n", 0,
	     "W master.cf:1 parameter qmqpd_error_delay is not supported and has no effect\nW master.cf:1 unused parameter: xx=$yy\n");
	says("qmqpd_error_delay = 5s\nmyorigin = x$qmqpd_error_delay\n", SMTPD, 0, "");
}

static void show_conflict(void *arg, const char *owner, const struct ph_param *p, const struct ph_param *first)
{
	printf("# %s declares %s as type %d \"%s\"; it counts as type %d \"%s\"\n", owner, p->name, p->type, p->def, first->type, first->def);
}

/* Defaults that differ from Postfix's on purpose; the reasons are in doc/configuration.md and doc/differences.md. */
static bool differs_on_purpose(const char *name)
{
	static const char *const names[] = { "default_process_limit", "in_flow_delay", "milter_default_action", "requiretls_enable", NULL };
	int i;

	for (i = 0; names[i] && strcmp(names[i], name) != 0; i++)
		;
	return names[i] != NULL;
}

static void test_declarations(void)
{
	const struct ph_param_table *t;
	const struct ph_known *k;
	size_t i, wrong = 0;

	tap_ok(ph_param_conflicts(show_conflict, NULL) == 0, "declarations of one parameter agree");
	for (t = ph_param_tables(); t; t = t->next) {
		for (i = 0; i < t->n; i++) {
			k = ph_known_find(t->params[i].name);
			if (k == NULL || (k->flags & (PH_KNOWN_COMPUTED | PH_KNOWN_OLD)) || strcmp(k->def, t->params[i].def) == 0 ||
			    differs_on_purpose(k->name))
				continue;
			wrong++;
			printf("# %s: default of %s is \"%s\", Postfix has \"%s\"\n", t->owner, k->name, t->params[i].def, k->def);
		}
	}
	tap_ok(wrong == 0, "declared defaults are Postfix's");
}

int main(void)
{
	ph_buf_init(&said, 1 << 20);
	setenv("PH_MODULE_PATH", "/nonexistent", 1);
	test_check();
	test_unowned();
	test_declarations();
	ph_buf_done(&said);
	return tap_done();
}
