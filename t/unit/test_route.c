/* Rewriting and resolving.  The expected values were taken from a running trivial-rewrite(8) with the same main.cf. */
#include "route/route.h"
#include "config/config.h"
#include "base/loop.h"
#include "module/loader.h"
#include "tap.h"

#include <stdlib.h>

static const char main_cf[] =
	"myhostname = mail.here.test\n"
	"mydomain = here.test\n"
	"compatibility_level = 3.6\n"
	"mydestination = here.test, mail.here.test, localhost\n"
	"inet_interfaces = loopback-only\n"
	"relay_domains = relay.test\n"
	"virtual_alias_domains = va.test\n"
	"virtual_alias_maps = inline:{ {a@va.test=b@here.test} }\n"
	"virtual_mailbox_domains = vm.test\n"
	"virtual_mailbox_maps = inline:{u@vm.test=u/}\n"
	"local_recipient_maps = inline:{user=x, postmaster=x}\n"
	"relay_recipient_maps = inline:{q@relay.test=x}\n"
	"recipient_delimiter = +\n"
	"transport_maps = inline:{ {user+ext@t1.test=ta:na}, {user@t1.test = tb:}, {t1.test = :nc}, {.sub.test = td:nd}, {exact.test = te}, {u@empty.test = :}, {va2@va.test = tf:}, {l@here.test = tg:}, {r@relay.test = error:5.9.9 nope}, {out.test = mm:[m.test]:26} }\n"
	"relayhost = [rh.test]:2525\n"
	"sender_dependent_relayhost_maps = inline:{ {s1@x.test=[sd.test]}, {@dom.test = domrelay}, {s4@dom.test = DUNNO}, {<> = nullrelay} }\n"
	"sender_dependent_default_transport_maps = inline:{ {s2@x.test = sdt:sdh}, {s3@x.test = sdt:}, {s5@x.test = sdt}, {s6@x.test = DUNNO}, {s7@x.test = :onlyhop} }\n"
	"default_transport = defx\n"
	"relay_transport = relayx:relayh\n"
	"local_transport = locx:loch\n"
	"virtual_transport = virtx:virth\n"
	"relocated_maps = inline:{ {moved@here.test = new@out.test}, {moved2@far.test = x}, {@moved.test = elsewhere}, {mu = local.moved} }\n";

static struct ph_config *config;
static struct ph_arena *arena;
static struct ph_route *route;

enum { ROUTED = 2, ERROR = 4, LOCAL = 0x100, ALIAS = 0x200, MAILBOX = 0x400, RELAY = 0x800, DEFAULT = 0x1000 };

static const struct { const char *sender, *rcpt, *transport, *nexthop, *recipient; unsigned flags; } cases[] = {
	{ "s9@x.test", "user+ext@t1.test", "ta", "na", "user+ext@t1.test", 0x1000 },
	{ "s9@x.test", "user+other@t1.test", "tb", "t1.test", "user+other@t1.test", 0x1000 },
	{ "s9@x.test", "user@t1.test", "tb", "t1.test", "user@t1.test", 0x1000 },
	{ "s9@x.test", "else@t1.test", "defx", "nc", "else@t1.test", 0x1000 },
	{ "s9@x.test", "x@a.sub.test", "td", "nd", "x@a.sub.test", 0x1000 },
	{ "s9@x.test", "x@b.a.sub.test", "td", "nd", "x@b.a.sub.test", 0x1000 },
	{ "s9@x.test", "x@sub.test", "defx", "[rh.test]:2525", "x@sub.test", 0x1000 },
	{ "s9@x.test", "x@exact.test", "te", "exact.test", "x@exact.test", 0x1000 },
	{ "s9@x.test", "x@sub.exact.test", "defx", "[rh.test]:2525", "x@sub.exact.test", 0x1000 },
	{ "s9@x.test", "u@empty.test", "defx", "[rh.test]:2525", "u@empty.test", 0x1000 },
	{ "s9@x.test", "va2@va.test", "error", "5.1.1 User unknown in virtual alias table", "va2@va.test", 0x200 },
	{ "s9@x.test", "va3@va.test", "error", "5.1.1 User unknown in virtual alias table", "va3@va.test", 0x200 },
	{ "s9@x.test", "l@here.test", "tg", "here.test", "l@here.test", 0x100 },
	{ "s9@x.test", "l+x@here.test", "tg", "here.test", "l+x@here.test", 0x100 },
	{ "s9@x.test", "n@here.test", "locx", "loch", "n@here.test", 0x100 },
	{ "s9@x.test", "r@relay.test", "error", "5.9.9 nope", "r@relay.test", 0x800 },
	{ "s9@x.test", "q@relay.test", "relayx", "relayh", "q@relay.test", 0x800 },
	{ "s9@x.test", "q@sub.relay.test", "relayx", "relayh", "q@sub.relay.test", 0x800 },
	{ "s9@x.test", "u@vm.test", "virtx", "virth", "u@vm.test", 0x400 },
	{ "s9@x.test", "u@out.test", "mm", "[m.test]:26", "u@out.test", 0x1000 },
	{ "s9@x.test", "u@OUT.test", "mm", "[m.test]:26", "u@OUT.test", 0x1000 },
	{ "s9@x.test", "u@far.test", "defx", "[rh.test]:2525", "u@far.test", 0x1000 },
	{ "s9@x.test", "moved@here.test", "error", "5.1.6 User has moved to new@out.test", "moved@here.test", 0x100 },
	{ "s9@x.test", "moved+x@here.test", "error", "5.1.6 User has moved to new@out.test", "moved+x@here.test", 0x100 },
	{ "s9@x.test", "moved2@far.test", "error", "5.1.6 User has moved to x", "moved2@far.test", 0x1000 },
	{ "s9@x.test", "any@moved.test", "error", "5.1.6 User has moved to elsewhere", "any@moved.test", 0x1000 },
	{ "s9@x.test", "mu@here.test", "error", "5.1.6 User has moved to local.moved", "mu@here.test", 0x100 },
	{ "s9@x.test", "mu@far.test", "defx", "[rh.test]:2525", "mu@far.test", 0x1000 },
	{ "s9@x.test", "user%out.test@here.test", "mm", "[m.test]:26", "user@out.test", 0x1000 },
	{ "s9@x.test", "out.test!user@here.test", "mm", "[m.test]:26", "user@out.test", 0x1000 },
	{ "s9@x.test", "a@b.test@here.test", "defx", "[rh.test]:2525", "a@b.test", 0x1000 },
	{ "s9@x.test", "u@far.test@relay.test", "relayx", "relayh", "u@far.test@relay.test", 0x802 },
	{ "s9@x.test", "u@[1.2.3.4]", "defx", "[rh.test]:2525", "u@[1.2.3.4]", 0x1000 },
	{ "s9@x.test", "u@[127.0.0.1]", "locx", "loch", "u@[127.0.0.1]", 0x100 },
	{ "s9@x.test", "u@[IPv6:2001:db8::1]", "defx", "[rh.test]:2525", "u@[IPv6:2001:db8::1]", 0x1000 },
	{ "s9@x.test", "postmaster", "locx", "loch", "postmaster@mail.here.test", 0x100 },
	{ "s9@x.test", "u@far.test.", "defx", "[rh.test]:2525", "u@far.test", 0x1000 },
	{ "s9@x.test", "u@far.test..", NULL, NULL, NULL, 0x1004 },
	{ "s9@x.test", "-x@far.test", NULL, NULL, NULL, 0x1004 },
	{ "s9@x.test", "u@1.2.3.4", NULL, NULL, NULL, 0x1004 },
	{ "s9@x.test", "u@", NULL, NULL, NULL, 0x1004 },
	{ "s9@x.test", "@far.test", "defx", "[rh.test]:2525", "@far.test", 0x1000 },
	{ "s9@x.test", "a b@far.test", "defx", "[rh.test]:2525", "a b@far.test", 0x1000 },
	{ "s9@x.test", "u@va.test.", "error", "5.1.1 User unknown in virtual alias table", "u@va.test", 0x200 },
	{ "s9@x.test", "u!v@far.test", "defx", "[rh.test]:2525", "u!v@far.test", 0x1002 },
	{ "s9@x.test", "u@sub.here.test", "defx", "[rh.test]:2525", "u@sub.here.test", 0x1000 },
	{ "s9@x.test", "u@here.test.", "locx", "loch", "u@here.test", 0x100 },
	{ "s9@x.test", "\"", "locx", "loch", "\"@mail.here.test", 0x100 },
	{ "s9@x.test", "x@localhost", "locx", "loch", "x@localhost", 0x100 },
	{ "s9@x.test", "x@mail.here.test", "locx", "loch", "x@mail.here.test", 0x100 },
	{ "s9@x.test", "", "locx", "loch", "MAILER-DAEMON@mail.here.test", 0x100 },
	{ "s1@x.test", "u@far.test", "defx", "[sd.test]", "u@far.test", 0x1000 },
	{ "s1@x.test", "q@relay.test", "relayx", "relayh", "q@relay.test", 0x800 },
	{ "s1@x.test", "u@vm.test", "virtx", "virth", "u@vm.test", 0x400 },
	{ "s1@x.test", "n@here.test", "locx", "loch", "n@here.test", 0x100 },
	{ "s1+e@x.test", "u@far.test", "defx", "[sd.test]", "u@far.test", 0x1000 },
	{ "s1+e@x.test", "q@relay.test", "relayx", "relayh", "q@relay.test", 0x800 },
	{ "s1+e@x.test", "u@vm.test", "virtx", "virth", "u@vm.test", 0x400 },
	{ "s1+e@x.test", "n@here.test", "locx", "loch", "n@here.test", 0x100 },
	{ "z@dom.test", "u@far.test", "defx", "domrelay", "u@far.test", 0x1000 },
	{ "z@dom.test", "q@relay.test", "relayx", "relayh", "q@relay.test", 0x800 },
	{ "z@dom.test", "u@vm.test", "virtx", "virth", "u@vm.test", 0x400 },
	{ "z@dom.test", "n@here.test", "locx", "loch", "n@here.test", 0x100 },
	{ "s4@dom.test", "u@far.test", "defx", "[rh.test]:2525", "u@far.test", 0x1000 },
	{ "s4@dom.test", "q@relay.test", "relayx", "relayh", "q@relay.test", 0x800 },
	{ "s4@dom.test", "u@vm.test", "virtx", "virth", "u@vm.test", 0x400 },
	{ "s4@dom.test", "n@here.test", "locx", "loch", "n@here.test", 0x100 },
	{ "", "u@far.test", "defx", "nullrelay", "u@far.test", 0x1000 },
	{ "", "q@relay.test", "relayx", "relayh", "q@relay.test", 0x800 },
	{ "", "u@vm.test", "virtx", "virth", "u@vm.test", 0x400 },
	{ "", "n@here.test", "locx", "loch", "n@here.test", 0x100 },
	{ "s2@x.test", "u@far.test", "sdt", "sdh", "u@far.test", 0x1000 },
	{ "s2@x.test", "q@relay.test", "relayx", "relayh", "q@relay.test", 0x800 },
	{ "s2@x.test", "u@vm.test", "virtx", "virth", "u@vm.test", 0x400 },
	{ "s2@x.test", "n@here.test", "locx", "loch", "n@here.test", 0x100 },
	{ "s3@x.test", "u@far.test", "sdt", "[rh.test]:2525", "u@far.test", 0x1000 },
	{ "s3@x.test", "q@relay.test", "relayx", "relayh", "q@relay.test", 0x800 },
	{ "s3@x.test", "u@vm.test", "virtx", "virth", "u@vm.test", 0x400 },
	{ "s3@x.test", "n@here.test", "locx", "loch", "n@here.test", 0x100 },
	{ "s5@x.test", "u@far.test", "sdt", "[rh.test]:2525", "u@far.test", 0x1000 },
	{ "s5@x.test", "q@relay.test", "relayx", "relayh", "q@relay.test", 0x800 },
	{ "s5@x.test", "u@vm.test", "virtx", "virth", "u@vm.test", 0x400 },
	{ "s5@x.test", "n@here.test", "locx", "loch", "n@here.test", 0x100 },
	{ "s6@x.test", "u@far.test", "defx", "[rh.test]:2525", "u@far.test", 0x1000 },
	{ "s6@x.test", "q@relay.test", "relayx", "relayh", "q@relay.test", 0x800 },
	{ "s6@x.test", "u@vm.test", "virtx", "virth", "u@vm.test", 0x400 },
	{ "s6@x.test", "n@here.test", "locx", "loch", "n@here.test", 0x100 },
	{ "s7@x.test", "q@relay.test", "relayx", "relayh", "q@relay.test", 0x800 },
	{ "s7@x.test", "u@vm.test", "virtx", "virth", "u@vm.test", 0x400 },
	{ "s7@x.test", "n@here.test", "locx", "loch", "n@here.test", 0x100 },
};

static const char *const rewrites[][2] = {
	{ "user", "user@mail.here.test" },
	{ "user@here.test", "user@here.test" },
	{ "user@out", "user@out" },
	{ "user@out.test.", "user@out.test" },
	{ "user@out.test..", "user@out.test.." },
	{ "user%out.test@here.test", "user%out.test@here.test" },
	{ "user%out.test", "user@out.test" },
	{ "out.test!user", "user@out.test" },
	{ "out.test!user@here.test", "out.test!user@here.test" },
	{ "u!v!w", "v!w@u" },
	{ "a b", "a b@mail.here.test" },
	{ "a b!c", "a b!c@mail.here.test" },
	{ "user@", "user@" },
	{ "%here.test", "@here.test" },
	{ "!user", "user@" },
	{ "user!", "@user" },
	{ "", "" },
	{ "u@[1.2.3.4]", "u@[1.2.3.4]" },
};

static unsigned class_flag(enum ph_address_class c)
{
	static const unsigned flags[] = { LOCAL, ALIAS, MAILBOX, RELAY, DEFAULT };

	return flags[c];
}

static void test_resolve(void)
{
	for (size_t i = 0; i < PH_ARRAY_LEN(cases); i++) {
		struct ph_resolved res;
		struct ph_err err = { 0 };
		enum ph_lookup l = ph_route_resolve(route, cases[i].sender, cases[i].rcpt, arena, &res, &err);
		const char *name = ph_arena_printf(arena, "<%s> from <%s>", cases[i].rcpt, cases[i].sender);

		if (!cases[i].transport) {
			tap_ok(l == PH_LOOKUP_FOUND && res.bad_syntax, "%s: bad syntax", name);
			continue;
		}
		tap_is(l == PH_LOOKUP_FOUND ? ph_arena_printf(arena, "%s|%s|%s|%x", res.transport, res.nexthop, res.recipient,
							      class_flag(res.cls) | (res.routed ? ROUTED : 0)) : err.text,
		       ph_arena_printf(arena, "%s|%s|%s|%x", cases[i].transport, cases[i].nexthop, cases[i].recipient, cases[i].flags), name);
	}
}

static void test_rewrite(void)
{
	for (size_t i = 0; i < PH_ARRAY_LEN(rewrites); i++) {
		const char *got = NULL;

		ph_route_rewrite(route, true, rewrites[i][0], arena, &got);
		tap_is(got, rewrites[i][1], rewrites[i][0]);
	}
}

static void known(const char *rcpt, const char *want)
{
	const char *text = NULL, *got;
	struct ph_err err = { 0 };
	int code = 0;
	enum ph_lookup l = ph_route_recipient_known(route, "", rcpt, arena, &text, &code, &err);

	got = l == PH_LOOKUP_FOUND ? "known" : l < 0 ? err.text : ph_arena_printf(arena, "%d %s", code, text);
	tap_is(got, want, rcpt);
}

static void test_known(void)
{
	known("user@here.test", "known");
	known("user+x@here.test", "known");
	known("nobody@here.test", "550 User unknown in local recipient table");
	known("user", "known");
	known("a@va.test", "known");
	known("x@va.test", "550 5.1.1 User unknown in virtual alias table");
	known("u@vm.test", "known");
	known("u+x@vm.test", "known");
	known("x@vm.test", "550 User unknown in virtual mailbox table");
	known("q@relay.test", "known");
	known("x@relay.test", "550 User unknown in relay recipient table");
	known("x@far.test", "known");
	known("moved@here.test", "550 5.1.6 User has moved to new@out.test");
	known("u@far..test", "501 5.1.3 bad address syntax");
}

static void test_relay_matrix(void)
{
	static const char *const denied[] = {
		"u@out.test", "u@OUT.test", "u@out.test.", "u%out.test@here.test", "u%out.test@[127.0.0.1]", "u%out.test", "u@out.test@here.test",
		"u@out.test@[127.0.0.1]", "out.test!u", "out.test!u@here.test", "out.test!u@[127.0.0.1]", "u%x@relay.test", "u!x@relay.test",
		"u@x.test@relay.test", "u@[192.0.2.99]", "u@[IPv6:2001:db8::1]", "u@192.0.2.99", "u@here.test.out.test", "u@xhere.test", "u@.here.test",
		"a!b%c@here.test", "a%b!c@here.test", "a@b%c@here.test", "a@b!c@here.test", "a!b!c@here.test", "a%b%c@here.test",
	};
	static const char *const allowed[] = { "u@here.test", "u@HERE.test.", "u@[127.0.0.1]", "u@relay.test", "u@sub.relay.test", "u@va.test", "u@vm.test", "u" };

	for (size_t i = 0; i < PH_ARRAY_LEN(denied); i++)
		tap_ok(ph_route_is_authorized(route, denied[i], arena, NULL) == PH_LOOKUP_NOTFOUND, "strangers may not relay to <%s>", denied[i]);
	for (size_t i = 0; i < PH_ARRAY_LEN(allowed); i++)
		tap_ok(ph_route_is_authorized(route, allowed[i], arena, NULL) == PH_LOOKUP_FOUND, "<%s> is ours", allowed[i]);
}

/* relocated_prefix_enable = no: the table says it all. */
static void test_bare_relocated(void)
{
	struct ph_config *c = NULL;
	struct ph_resolved res;
	struct ph_err err = { 0 };

	if (ph_config_parse("myhostname = h.test\nmydestination = h.test\ninet_interfaces = loopback-only\nlocal_recipient_maps =\nrelocated_prefix_enable = no\n"
			    "relocated_maps = inline:{ {a@h.test = 5.1.6 gone to b@x.test}, {c@h.test = gone} }\n", "", &c, &err) < 0)
		printf("Bail out! %s\n", err.text);
	tap_ok(ph_route_resolve(ph_route_of(ph_config_main(c)), "", "a@h.test", arena, &res, &err) == PH_LOOKUP_FOUND && res.error, "relocated_prefix_enable = no");
	tap_is(res.nexthop, "5.1.6 gone to b@x.test", "its text is the table's");
	ph_route_resolve(ph_route_of(ph_config_main(c)), "", "c@h.test", arena, &res, &err);
	tap_is(res.nexthop, "gone", "also without a code");
	ph_config_free(&c);
}

static void test_failing_table(void)
{
	struct ph_config *bad = NULL;
	struct ph_resolved res;
	struct ph_err err = { 0 };
	struct ph_route *r;
	const char *text;
	int code;

	ph_config_parse("myhostname = h.test\nmydestination = h.test\nlocal_recipient_maps = fail:x\n"
			"virtual_mailbox_domains = fail:y\nvirtual_alias_maps =\n", "", &bad, &err);
	r = ph_route_of(ph_config_main(bad));
	tap_ok(ph_route_resolve(r, "", "u@x.test", arena, &res, &err) == PH_LOOKUP_TEMPFAIL && *err.text, "a failing class list defers: %s", err.text);
	tap_ok(ph_route_recipient_known(r, "", "u@h.test", arena, &text, &code, &err) < 0, "a failing recipient table is no \"unknown\"");
	tap_ok(ph_route_is_authorized(r, "u@x.test", arena, &err) < 0, "nor a permission");
	ph_config_free(&bad);
}

static void test_system_users(void)
{
	struct ph_config *c = NULL;
	const char *text;
	int code = 0;
	struct ph_err err = { 0 };
	struct ph_route *r;

	ph_config_parse("myhostname = h.test\nmydestination = h.test\nalias_maps =\nrecipient_delimiter = +\n", "", &c, &err);
	r = ph_route_of(ph_config_main(c));
	tap_ok(ph_route_recipient_known(r, "", "root@h.test", arena, &text, &code, &err) == PH_LOOKUP_FOUND, "unix:passwd.byname: root %s", err.text);
	tap_ok(ph_route_recipient_known(r, "", "Root+x@h.test", arena, &text, &code, &err) == PH_LOOKUP_FOUND, "with extension, any case");
	tap_ok(ph_route_recipient_known(r, "", "no-such-user@h.test", arena, &text, &code, &err) == PH_LOOKUP_NOTFOUND && code == 550, "unknown user");
	ph_config_free(&c);
}

static void run(void *arg)
{
	route = ph_route_of(ph_config_main(config));
	test_rewrite();
	test_resolve();
	test_known();
	test_relay_matrix();
	test_failing_table();
	test_bare_relocated();
	test_system_users();
}

int main(void)
{
	struct ph_err err = { 0 };

	setenv("PH_MODULE_PATH", ".libs", 0);
	if (ph_config_parse(main_cf, "", &config, &err) < 0) {
		printf("Bail out! %s\n", err.text);
		return 1;
	}
	arena = ph_arena_new();
	ph_run_blocking(run, NULL);
	ph_arena_free(&arena);
	ph_config_free(&config);
	return tap_done();
}
