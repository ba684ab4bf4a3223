/* config_settings.c: texts to typed fields: ranges, units, messages (N-341, N-318). */
#include <limits.h>

#include "config/private.h"
#include "tap.h"

struct set {
	const char *str, *str1, *raw;
	bool flag;
	int num, pos;
	int64_t big, time, hours;
};

#define S struct set
static const struct ph_param table[] = {
	PH_P_STR(S, str, "t_str", "x$t_str1", ""),
	PH_P_STR1(S, str1, "t_str1", "d", ""),
	PH_P_RAW(S, raw, "t_raw", "$raw", ""),
	PH_P_BOOL(S, flag, "t_flag", "no", ""),
	PH_P_INT(S, num, "t_num", "5", -1, 0, ""),
	PH_P_INT(S, pos, "t_pos", "10", 5, 20, ""),
	PH_P_LONG(S, big, "t_big", "0", 0, 0, ""),
	PH_P_TIME(S, time, "t_time", "1h", 's', 1000, 86400000, ""),
	PH_P_TIME(S, hours, "t_hours", "2", 'h', 0, 0, ""),
};

struct per_service { int limit; };
static const struct ph_param service_table[] = {
	PH_P_INT(struct per_service, limit, "%s_destination_recipient_limit", "$default_destination_recipient_limit", 1, 0, ""),
};

static int fill(const char *main_text, struct set *s, struct ph_err *err)
{
	static struct ph_config *c;
	int rc;

	ph_config_free(&c);
	err->text[0] = '\0';
	rc = ph_config_parse(main_text, NULL, &c, err);
	return rc < 0 ? rc : ph_conf_settings(ph_config_main(c), table, PH_ARRAY_LEN(table), s, err);
}

static void refused(const char *main_text, const char *want)
{
	struct set s;
	struct ph_err err;
	int rc = fill(main_text, &s, &err);

	tap_ok(rc < 0 && strstr(err.text, want), "%s", err.text);
}

static void test_good(void)
{
	struct set s;
	struct ph_err err;

	tap_ok(fill("", &s, &err) == 0, "defaults %s", err.text);
	tap_is(s.str, "xd", "a default is expanded");
	tap_is(s.raw, "$raw", "raw");
	tap_ok(!s.flag && s.num == 5 && s.pos == 10 && s.big == 0 && s.time == 3600000 && s.hours == 7200000, "numbers");
	tap_ok(fill("t_flag = YES\nt_num = -1\nt_pos=20\nt_big = 9000000000\nt_time = 3\nt_hours = 1w\nt_raw = ${a\n", &s, &err) == 0, "set %s", err.text);
	tap_ok(s.flag && s.num == -1 && s.pos == 20 && s.big == 9000000000 && s.time == 3000 && s.hours == 7ll * 86400000, "numbers");
	tap_is(s.raw, "${a", "raw as written");
}

static void test_bad(void)
{
	refused("\nt_str1 =\n", "main.cf, line 2: bad string length 0 < 1: t_str1 = ");
	refused("t_flag = maybe", "main.cf, line 1: bad boolean configuration: t_flag = maybe");
	refused("t_flag =", "bad boolean configuration: t_flag = ");
	refused("t_flag = 1", "bad boolean");
	refused("t_num = 2147483648", "bad numerical configuration: t_num = 2147483648");
	refused("t_num = 1e9", "bad numerical configuration: t_num = 1e9");
	refused("t_num = 0x10", "bad numerical");
	refused("t_num =", "bad numerical");
	refused("t_num = 5 5", "bad numerical");
	refused("t_num = -", "bad numerical");
	refused("t_num = +5", "bad numerical");
	refused("t_num = 5k", "bad numerical");
	refused("t_num = 99999999999999999999", "bad numerical");
	refused("t_num = -2", "invalid t_num parameter value -2 < -1");
	refused("t_pos = 4", "invalid t_pos parameter value 4 < 5");
	refused("t_pos = 21", "invalid t_pos parameter value 21 > 20");
	refused("t_big = 9223372036854775808", "bad numerical");
	refused("t_big = -1", "invalid t_big parameter value -1 < 0");
	refused("t_time = 999999999w", "main.cf, line 1: parameter t_time: bad time value or unit: 999999999w");
	refused("t_time = -1s", "bad time value or unit: -1s");
	refused("t_time = 1x", "bad time value or unit: 1x");
	refused("t_time = 1 h", "bad time value or unit: 1 h");
	refused("t_time = 1H", "bad time value or unit: 1H");
	refused("t_time = h", "bad time value or unit: h");
	refused("t_time = 5hh", "bad time value or unit: 5hh");
	refused("t_time = 25000d", "bad time value or unit: 25000d");
	refused("t_time =", "bad time value or unit: ");
	refused("t_time = 0", "invalid t_time: 0 (min 1s)");
	refused("t_time = 2d", "invalid t_time: 2d (max 86400s)");
	refused("t_str = ${\n", "main.cf, line 1: parameter t_str:");
}

static void test_service(void)
{
	struct ph_config *c = NULL;
	struct ph_err err;
	struct per_service p = { 0 };

	tap_ok(ph_config_parse("foo_destination_recipient_limit = 3\n", "foo unix - - n - - smtp\nbar unix - - n - - smtp\n"
			       "local unix - - n - - local\n", &c, &err) == 0, "%s", "parse");
	ph_conf_settings(ph_config_service(c, "foo", PH_SVC_UNIX)->conf, service_table, 1, &p, &err);
	tap_ok(p.limit == 3, "a per-service parameter that is set: %d", p.limit);
	ph_conf_settings(ph_config_service(c, "bar", PH_SVC_UNIX)->conf, service_table, 1, &p, &err);
	tap_ok(p.limit == 50, "its fall-back: %d", p.limit);
	ph_conf_settings(ph_config_service(c, "local", PH_SVC_UNIX)->conf, service_table, 1, &p, &err);
	tap_ok(p.limit == 1, "a service with a default of its own: %d", p.limit);
	ph_config_free(&c);
}

static void test_general(void)
{
	static const struct { const char *text, *want; } bad[] = {
		{ "myhostname = foo..bar", "main.cf, line 1: parameter myhostname: bad parameter value: foo..bar" },
		{ "myhostname =", "bad string length 0 < 1: myhostname" },
		{ "syslog_facility = x", "parameter syslog_facility: unrecognized value: x" },
		{ "inet_protocols = ipv5", "unknown inet_protocols value \"ipv5\"" },
		{ "mynetworks_style = x", "unknown mynetworks_style value \"x\"" },
		{ "line_length_limit = 5", "invalid line_length_limit parameter value 5 < 512" },
		{ "maillog_file = /etc/passwd", "maillog_file \"/etc/passwd\" is in none of the places" },
		{ "maillog_file = /variable/log", "is in none of the places" },
		{ "maillog_file = /var/../etc/x", "is in none of the places" },
		{ "maillog_file = var/log/x", "is in none of the places" },
		{ "myorigin = a.example b.example", "myorigin parameter setting must not contain multiple values" },
		{ "soft_bounce = maybe", "main.cf, line 1: bad boolean configuration: soft_bounce = maybe; expected yes or no" },
		{ "service_throttle_time = 0", "invalid service_throttle_time: 0 (min 1s)" },
	};
	const struct ph_general_settings *g = NULL;
	struct ph_config *c = NULL;
	struct ph_err err;
	size_t i;

	for (i = 0; i < PH_ARRAY_LEN(bad); i++) {
		err.text[0] = '\0';
		tap_ok(ph_config_parse(bad[i].text, NULL, &c, &err) < 0 && strstr(err.text, bad[i].want), "%s", err.text);
	}
	tap_ok(ph_config_parse("maillog_file = /var/log/mail.log\nmydomain=x\n", NULL, &c, &err) == 0, "maillog_file in its place");
	ph_config_free(&c);
	tap_ok(ph_config_parse("maillog_file = /dev/stdout\n", NULL, &c, &err) == 0, "maillog_file on standard output");
	ph_config_free(&c);
	ph_config_parse("inet_protocols = ipv4\ninet_interfaces = loopback-only\nmynetworks_style = subnet\n", NULL, &c, &err);
	tap_ok(ph_conf_general_check(ph_config_main(c), &g, &err) == 0, "general");
	tap_is(g->mynetworks, "127.0.0.0/8", "mynetworks of the loopback interface");
	tap_ok(g->ipv4 && !g->ipv6 && g->message_size_limit == 10240000, "numbers");
	ph_config_free(&c);
}

static void test_ports(void)
{
	struct ph_config *c = NULL;
	struct ph_err err;
	int n = 0;

	tap_ok(ph_config_parse("known_tcp_ports = ,junk, one=two=2525,,x=70000, a b=3, =4, y=, three = 3535,\n", NULL, &c, &err) == 0, "entries that read wrong stop nothing");
	tap_ok(ph_conf_tcp_port(ph_config_main(c), "two") == 2525 && ph_conf_tcp_port(ph_config_main(c), "three") == 3535, "the others count");
	tap_ok(!ph_conf_tcp_port(ph_config_main(c), "x") && !ph_conf_tcp_port(ph_config_main(c), "a") && !ph_conf_tcp_port(ph_config_main(c), ""), "they do not");
	for (const struct ph_note *note = c->notes; note; note = note->next)
		n += strncmp(note->text, "known_tcp_ports: in \"", 21) == 0;
	tap_ok(n == 5, "and are told: %d", n);
	ph_config_free(&c);
}

static void test_declarations(void)
{
	tap_ok(ph_param_find("myhostname") != NULL && ph_param_find("nosuch") == NULL, "declarations");
	tap_ok(ph_known_find("2bounce_notice_recipient") && ph_known_find("xxx") == NULL, "known names");
}

int main(void)
{
	test_good();
	test_bad();
	test_service();
	test_general();
	test_ports();
	test_declarations();
	return tap_done();
}
