/* config_files.c: main.cf and master.cf as texts: what is accepted, what is refused and where, and what a service
 * sees; odd and huge files (N-343). */
#include <errno.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "config/private.h"
#include "tap.h"

static struct ph_config *parse(const char *main_text, const char *master_text)
{
	struct ph_config *c = NULL;
	struct ph_err err = { 0, "" };

	if (ph_config_parse(main_text, master_text, &c, &err) < 0)
		printf("# %s\n", err.text);
	return c;
}

static void refused(const char *main_text, const char *master_text, const char *part)
{
	struct ph_config *c = NULL;
	struct ph_err err = { 0, "" };
	int rc = ph_config_parse(main_text, master_text, &c, &err);

	tap_ok(rc < 0 && c == NULL && strstr(err.text, part), "refused with \"%s\": %s", part, err.text);
	ph_config_free(&c);
}

static void test_main(void)
{
	struct ph_config *c = parse("# comment\n\na = first,\n   second\n# between\n\n\tthird  \nb=$a\nc =\nd = x = y\n"
				    "e = old\ne = new\ncr = v\r\n  w\r\nlast = no newline", NULL);
	const struct ph_conf *m = ph_config_main(c);

	tap_is(ph_conf_get(m, "a"), "first,   second\tthird", "continuation lines, comments between");
	tap_is(ph_conf_get(m, "b"), "first,   second\tthird", "reference");
	tap_is(ph_conf_get(m, "c"), "", "empty value");
	tap_is(ph_conf_get(m, "d"), "x = y", "only the first = counts");
	tap_is(ph_conf_get(m, "e"), "new", "last definition wins");
	tap_is(ph_conf_get(m, "cr"), "v\r  w", "carriage return at the end is white space");
	tap_is(ph_conf_get(m, "last"), "no newline", "no newline at the end");
	tap_ok(ph_conf_get(m, "nosuch") == NULL, "unknown name");
	tap_is(ph_conf_origin(m, "a"), "main.cf:3", "origin");
	tap_is(ph_conf_origin(m, "e"), "main.cf:12", "origin of the last definition");
	tap_is(ph_conf_origin(m, "queue_directory"), "default", "origin of a default");
	tap_ok(ph_conf_origin(m, "nosuch") == NULL, "no origin of an unknown name");
	tap_ok(c->notes && strstr(c->notes->text, "overriding earlier entry: e=old"), "a note about the duplicate");
	ph_config_free(&c);
}

static void test_main_errors(void)
{
	refused("x = 1\ny\n", NULL, "main.cf, line 2: there is no '='");
	refused("= v\n", NULL, "main.cf, line 1: the name in front of '='");
	refused("a b = v\n", NULL, "main.cf, line 1: there is no '='");
	refused("  a = v\n", NULL, "main.cf, line 1: a setting must not start with white space");
	refused("# c\n\n  a = v\n", NULL, "main.cf, line 3: a setting must not start with white space");
	refused("\xef\xbb\xbf" "a = v\n", NULL, "byte order mark");
	refused("myhostname = a.example\nmydomain = ${x\n", NULL, "main.cf, line 2: parameter mydomain: '{' without its '}'");
	refused("myorigin = $mydomain\nmydomain = $myorigin\n", NULL, "refer to itself");
	refused("compatibility_level = x\n", NULL, "main.cf, line 1: malformed compatibility level syntax: \"x\"");
	refused("compatibility_level = 3.7x\n", NULL, "malformed");
}

static void test_nul(void)
{
	struct ph_config *c = parse("", NULL);
	struct ph_err err;

	tap_ok(ph_maincf_parse(c, "f", "a = b\nc\0d = e\n", 14, &err) < 0 && strstr(err.text, "f, line 2: there is a NUL"), "NUL byte: %s", err.text);
	ph_config_free(&c);
}

static void test_defaults(void)
{
	struct ph_config *c = parse("", NULL);
	const struct ph_conf *m = ph_config_main(c);
	char pid[16];

	snprintf(pid, sizeof(pid), "%d", (int)getpid());
	tap_is(ph_conf_get(m, "process_id"), pid, "process_id");
	tap_is(ph_conf_get(m, "process_name"), program_invocation_short_name, "process_name");
	tap_is(ph_conf_get(m, "syslog_name"), "postfix", "conditional default");
	tap_is(ph_conf_get(m, "smtputf8_enable"), "no", "compatibility level 0");
	tap_is(ph_conf_get(m, "mynetworks_style"), "subnet", "compatibility level 0: mynetworks_style");
	tap_is(ph_conf_get(m, "address_verify_poll_count"), "3", "$stress empty");
	tap_is(ph_conf_get(m, "default_rbl_reply"), "$rbl_code Service unavailable; $rbl_class [$rbl_what] blocked using $rbl_domain"
	       "${rbl_reason?; $rbl_reason}", "a raw parameter is not expanded");
	tap_ok(ph_conf_get(m, "virtual_maps") == NULL, "an obsolete name is nothing until it is set");
	tap_is(ph_conf_get(m, "local_destination_recipient_limit"), "1", "a transport's default of its own");
	tap_is(ph_conf_service_param(m, "local", "destination_recipient_limit", "default_destination_recipient_limit"), "1", "service_param: own default");
	tap_is(ph_conf_service_param(m, "foo", "destination_recipient_limit", "default_destination_recipient_limit"), "50", "service_param: fall-back");
	tap_ok(ph_conf_compatibility(m) == 0, "compatibility 0");
	ph_config_free(&c);
	c = parse("compatibility_level = 3.6\nfoo_destination_recipient_limit = 7\nmyhostname = mx.a.example\n", NULL);
	m = ph_config_main(c);
	tap_is(ph_conf_get(m, "smtputf8_enable"), "yes", "compatibility level 3.6");
	tap_ok(ph_conf_compatibility(m) == 3006, "compatibility 3006");
	tap_is(ph_conf_get(m, "mydomain"), "a.example", "mydomain from myhostname");
	tap_is(ph_conf_get(m, "mydestination"), "mx.a.example, localhost.a.example, localhost", "mydestination");
	tap_is(ph_conf_service_param(m, "foo", "destination_recipient_limit", "default_destination_recipient_limit"), "7", "service_param: set");
	ph_config_free(&c);
	c = parse("mydomain = b.example\n", NULL);
	m = ph_config_main(c);
	tap_ok(strchr(ph_conf_get(m, "myhostname"), '.') != NULL, "myhostname has a domain: %s", ph_conf_get(m, "myhostname"));
	ph_config_free(&c);
	c = parse("mydomain = x$myhostname\n", NULL);
	tap_ok(ph_conf_get(ph_config_main(c), "mydomain") != NULL, "mydomain that refers to the default of myhostname ends");
	ph_config_free(&c);
	c = parse("myhostname = mx.$mydomain\n", NULL);
	tap_is(ph_conf_get(ph_config_main(c), "myhostname"), "mx.localdomain", "myhostname that refers to the default of mydomain");
	tap_is(ph_conf_get(ph_config_main(c), "mydomain"), "localdomain", "and mydomain");
	ph_config_free(&c);
	refused("mynetworks_style = $mynetworks\ninet_interfaces = $mynetworks\n", NULL, "bad string length 0 < 1: mynetworks_style");
}

static const char master[] =
	"# service type  private unpriv  chroot  wakeup  maxproc command + args\n"
	"smtp      inet  n       -       n       -       -       smtpd\n"
	"submission inet n       -       y       -       7       /usr/lib/x/smtpd -v -v\n"
	"  -o syslog_name=postfix/$service_name -o { smtpd_client_restrictions = permit_mynetworks, reject }\n"
	"  # a comment\n"
	"  -osoft_bounce=yes -o mynetworks=\n"
	"qmgr      unix  n       -       n       300     1       qmgr\n"
	"verify    unix  -       -       n       30?     0       verify\n"
	"dovecot   unix  -       n       n       -       -       pipe flags=DRhu user=vmail argv=/x/deliver -d ${recipient} -o z=1 { two words } x={a b {c d}}e\n"
	"log       unix-dgram n  -       n       -       1       postlogd\n";

static void test_master(void)
{
	struct ph_config *c = parse("compatibility_level = 3.6\n", master);
	const struct ph_service *s, *all;
	size_t n;

	all = ph_config_services(c, &n);
	tap_ok(n == 6 && all, "six services");
	s = ph_config_service(c, "smtp", PH_SVC_INET);
	tap_ok(s && !s->is_private && s->unpriv && !s->chroot && s->wakeup_s == 0 && s->maxproc == 10000 && s->argc == 0, "columns and defaults");
	tap_is(ph_conf_get(s->conf, "service_name"), "smtp", "service_name");
	tap_is(ph_conf_get(s->conf, "process_name"), "smtpd", "process_name");
	tap_is(s->raw_fields[4], "n", "raw field");
	s = ph_config_service(c, "submission", PH_SVC_INET);
	tap_ok(s && s->chroot && s->maxproc == 7 && s->verbose == 2 && s->line == 3, "chroot y, -v -v, line");
	tap_is(s->command, "smtpd", "base name of the command");
	tap_is(ph_conf_get(s->conf, "syslog_name"), "postfix/submission", "-o name=value");
	tap_is(ph_conf_get(s->conf, "smtpd_client_restrictions"), "permit_mynetworks, reject", "-o { name = value }");
	tap_is(ph_conf_get(s->conf, "soft_bounce"), "yes", "-oname=value");
	tap_is(ph_conf_get(s->conf, "mynetworks"), "", "empty override");
	tap_is(ph_conf_get(ph_config_main(c), "soft_bounce"), "no", "main.cf is not touched");
	tap_is(ph_conf_origin(s->conf, "soft_bounce"), "master.cf:3", "origin");
	tap_ok(ph_conf_general(s->conf)->soft_bounce && !ph_conf_general(ph_config_main(c))->soft_bounce, "typed settings of each view");
	s = ph_config_service(c, "qmgr", PH_SVC_UNIX);
	tap_ok(s && s->wakeup_s == 300 && !s->wakeup_if_used && s->maxproc == 1, "wakeup");
	s = ph_config_service(c, "verify", PH_SVC_UNIX);
	tap_ok(s && s->wakeup_s == 30 && s->wakeup_if_used && s->maxproc == 0 && s->is_private, "wakeup with ?");
	s = ph_config_service(c, "dovecot", PH_SVC_UNIX);
	tap_ok(s && !s->unpriv && s->argc == 9 && s->maxproc == 100, "arguments: %d", s ? s->argc : -1);
	tap_is(s->argv[7], "two words", "a braced word");
	tap_is(s->argv[8], "x={a b {c d}}e", "blanks between braces within a word");
	tap_is(ph_conf_service_words(s->conf)[8], "x={a b {c d}}e", "ph_conf_service_words");
	tap_ok(!ph_conf_service_words(ph_config_main(c))[0], "main.cf has no words");
	tap_is(s->argv[5], "-o", "options end at the first plain word");
	tap_is(ph_conf_get(s->conf, "dovecot_destination_recipient_limit"), "50", "template of a service");
	tap_ok(ph_config_service(c, "smtp", PH_SVC_UNIX) == NULL, "name and type together");
	ph_config_free(&c);
	c = parse("", "smtp inet n - - - - smtpd\nsmtp inet n - - - 5 smtpd\n");
	all = ph_config_services(c, &n);
	tap_ok(n == 1 && all[0].maxproc == 5 && all[0].chroot, "the last of two wins; chroot default of old");
	tap_ok(c->notes && strstr(c->notes->text, "duplicate master.cf entry for service smtp/inet"), "note about the duplicate");
	ph_config_free(&c);
}

/* The names that are left, with a blank in front of each. */
static void disabled(const char *list, const char *want)
{
	struct ph_config *c;
	struct ph_err err = { 0 };
	char text[200], left[200] = "";
	size_t n;

	snprintf(text, sizeof(text), "master_service_disable = %s\n", list);
	if (ph_config_parse(text, "25 inet n - n - - smtpd\n587 inet n - n - - smtpd\nsmtp unix - - n - - smtp\nsmtp inet n - n - - smtpd\n", &c, &err) == 0) {
		const struct ph_service *s = ph_config_services(c, &n);

		for (size_t i = 0; i < n; i++) {
			strcat(left, " ");
			strcat(left, s[i].name);
		}
		ph_config_free(&c);
	}
	tap_ok(strcmp(left, want) == 0, "master_service_disable = %s leaves%s (%s) %s", list, want, left, err.text);
}

static void test_disabled(void)
{
	disabled("", " 25 587 smtp smtp");
	disabled("inet", " smtp");
	disabled("smtp/inet", " 25 587 smtp");
	disabled("smtp.inet, 25/inet", " 587 smtp");
	disabled("!587/inet, inet", " 587 smtp");
	disabled("unix !smtp/unix", " 25 587 smtp");
	disabled("smtp", " 25 587 smtp smtp");
}

static void test_master_errors(void)
{
	refused("", "smtp inet n - - -\n", "master.cf, line 1: bad field count: 6");
	refused("", "\n smtp inet n - - - - smtpd\n", "master.cf, line 2: a setting must not start with white space");
	refused("", "smtp foo n - - - - smtpd\n", "bad type field \"foo\"");
	refused("", "smtp inet x - - - - smtpd\n", "bad private field \"x\"");
	refused("", "smtp inet n x - - - smtpd\n", "bad unprivileged field");
	refused("", "smtp inet n - x - - smtpd\n", "bad chroot field");
	refused("", "smtp inet n - - x - smtpd\n", "bad wakeup field");
	refused("", "smtp inet n - - ? - smtpd\n", "bad wakeup field");
	refused("", "smtp inet n - - - -1 smtpd\n", "bad process_limit field");
	refused("", "smtp inet n - - - 99999999999 smtpd\n", "bad process_limit field");
	refused("", "smtp inet n - - - - smtpd -o\n", "-o needs");
	refused("", "smtp inet n - - - - smtpd -o a\n", "-o: there is no '='");
	refused("", "smtp inet n - - - - smtpd -o { a = b\n", "'{' without its '}'");
	refused("", "smtp inet n - - - - smtpd -o { a = b }c\n", "white space behind '}'");
	refused("", "smtp inet n - - - - smtpd -x\n", "unknown option \"-x\"");
	refused("", "smtp inet n - - - - smtpd\n -o mydomain=${x\n", "master.cf, line 1: parameter mydomain");
	refused("default_process_limit = x\n", "smtp inet n - - - - smtpd\n", "main.cf, line 1: bad numerical configuration: default_process_limit = x");
}

static void test_derive(void)
{
	static const char *const names[] = { "myorigin", "extra" }, *const values[] = { "derived.example", "$myorigin" };
	struct ph_config *c = parse("extra = no\nz = $extra\n", master);
	const struct ph_conf *v = ph_conf_derive(ph_config_service(c, "submission", PH_SVC_INET)->conf, names, values, 2);

	tap_is(ph_conf_get(v, "z"), "derived.example", "derived view");
	tap_is(ph_conf_get(v, "soft_bounce"), "yes", "derived view sees its base's overrides");
	tap_is(ph_conf_get(ph_config_main(c), "z"), "no", "the base is as before");
	tap_is(ph_conf_service(v), "submission", "service");
	ph_config_free(&c);
}

static int freed;
static void count_free(void *obj)
{
	freed += *(int *)obj;
}

static void test_attach(void)
{
	static int one = 1, ten = 10;
	struct ph_config *c = parse("", NULL);
	const struct ph_conf *m = ph_config_main(c);

	tap_ok(ph_conf_attach_get(m, "k") == NULL, "nothing attached");
	ph_conf_attach_set(m, "k", &one, count_free);
	ph_conf_attach_set(m, "l", &ten, count_free);
	tap_ok(ph_conf_attach_get(m, "k") == &one && ph_conf_attach_get(m, "l") == &ten, "attached");
	ph_config_free(&c);
	tap_ok(freed == 11, "freed with the configuration");
}

static void test_load(void)
{
	char dir[] = "/tmp/phconf.XXXXXX", path[64];
	struct ph_config *c = NULL;
	struct ph_err err;
	FILE *f;

	if (mkdtemp(dir) == NULL)
		return;
	tap_ok(ph_config_load(dir, PH_CONFIG_QUIET, &c, &err) < 0 && strstr(err.text, "main.cf: No such"), "no main.cf: %s", err.text);
	snprintf(path, sizeof(path), "%s/main.cf", dir);
	f = fopen(path, "w");
	fputs("myorigin = x.example\nbroken = ${\n", f);
	fclose(f);
	tap_ok(ph_config_load(dir, PH_CONFIG_QUIET, &c, &err) < 0 && strstr(err.text, "master.cf: No such"), "no master.cf: %s", err.text);
	tap_ok(ph_config_load(dir, PH_CONFIG_NO_MASTER, &c, &err) == 0, "main.cf only");
	tap_is(ph_conf_get(ph_config_main(c), "config_directory"), dir, "config_directory");
	tap_ok(ph_conf_get(ph_config_main(c), "broken") == NULL, "a value of a user's own that cannot be expanded");
	ph_config_free(&c);
	unlink(path);
	rmdir(dir);
}

/* Half a million lines are read in a moment, a value of more than 1 MiB is refused. */
static void test_huge(void)
{
	struct ph_config *c = NULL;
	struct ph_buf text;
	struct ph_err err = { 0, "" };
	clock_t begin = clock();
	int i;

	ph_buf_init(&text, 64 << 20);
	for (i = 0; i < 500000; i++)
		ph_buf_printf(&text, "name%d = value\n", i % 300000);
	tap_ok(ph_config_parse(ph_buf_str(&text), NULL, &c, &err) == 0 && c->main.n == 300000, "500,000 lines %s", err.text);
	ph_config_free(&c);
	tap_ok(clock() - begin < 20 * CLOCKS_PER_SEC, "in good time");
	ph_buf_clear(&text);
	ph_buf_puts(&text, "a = ");
	for (i = 0; i < 2000; i++)
		ph_buf_printf(&text, "%01000d\n ", 0);
	refused(ph_buf_str(&text), NULL, "main.cf, line 1: the setting that starts here is longer than");
	ph_buf_done(&text);
}

int main(void)
{
	test_huge();
	test_main();
	test_main_errors();
	test_nul();
	test_defaults();
	test_master();
	test_disabled();
	test_master_errors();
	test_derive();
	test_attach();
	test_load();
	return tap_done();
}
