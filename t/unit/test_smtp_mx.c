/* Where mail goes: MX records, addresses, loops to ourselves; with a DNS of our own. */
#include "agent_world.h"

static struct outcome *to(const char *nexthop)
{
	return DELIVER(.service = "dns", .nexthop = nexthop, .rcpts = { "a@x.test" });
}

/* How many log lines have it? */
static int logs_of(const char *text)
{
	char *at = slurp(w.log);
	int n = 0;

	for (; (at = strstr(at, text)); at++)
		n++;
	return n;
}

static void test_mx(void)
{
	struct outcome *o;

	tap_ok(result_is(to("null.test"), 0, PH_BOUNCED, "5.1.0", "Domain null.test does not accept mail (nullMX)"), "N-192 null MX");
	tap_ok(result_is(to("self.test"), 0, PH_BOUNCED, "5.4.6", "mail for self.test loops back to myself"), "N-193 our own address");
	tap_ok(result_is(to("zero.test"), 0, PH_BOUNCED, "5.4.6", "mail for zero.test loops back to myself"), "N-193 0.0.0.0 is ours, too");
	tap_ok(result_is(to("literal.test"), 0, PH_BOUNCED, "5.4.6", "mail for literal.test loops back to myself"), "N-193 so is an MX that is a number of ours");
	tap_ok(result_is(to("nx.test"), 0, PH_BOUNCED, "5.4.4", "Host or domain name not found. Name service error for name=nx.test type=AAAA: Host not found"), "N-197 no such domain");
	tap_ok(result_is(to("txt.test"), 0, PH_BOUNCED, "5.4.4", "Host or domain name not found. Name service error for name=txt.test type=AAAA: Host found but no data record of requested type"), "N-197 no address");
	tap_ok(result_is(to("nomxhost.test"), 0, PH_BOUNCED, "5.4.4", "Host or domain name not found. Name service error for name=does-not-exist.test type=AAAA: Host not found") &&
	       logged("warning: no MX host for nomxhost.test has a valid address record"), "an MX without an address");
	tap_ok(result_is(to("fail.test"), 0, PH_DEFERRED, "4.4.3", "Host or domain name not found. Name service error for name=fail.test type=MX: Host not found, try again"), "N-197 the DNS is down");
	o = to("back.test");
	tap_ok(o->status[0] == PH_DEFERRED && strncmp(o->text[0], "connect to down.back.test[127.0.0.2]:", 37) == 0, "N-195 a backup does not send to itself");
	o = to("better.test");
	tap_ok(result_is(o, 0, PH_BOUNCED, "5.4.6", "mail for better.test loops back to myself"), "N-195 who is not better than us is no way");
	o = to("null2.test");
	tap_ok(result_is(o, 0, PH_BOUNCED, "5.1.0", "Domain null2.test does not accept mail (nullMX)"), "N-192 a null MX beside another");
	o = to("loop.test");
	tap_ok(o->status[0] == PH_DEFERRED && o->dsn[0][0] == '4', "N-189 a CNAME that leads to itself: %s", o->text[0]);
	o = to("lots.test");
	tap_ok(o->status[0] == PH_DEFERRED && logs_of("]: connect to h") == 5, "N-196 60 dead servers: five are tried: %d", logs_of("]: connect to h"));
	o = to("two.test");
	tap_ok(o->status[0] == PH_SENT && logged("connect to mxa.two.test[127.0.0.3]:") && strstr(o->relay[0], "mxb.two.test[127.0.0.4]:"), "the second MX takes it");
	o = to("busy.test");
	tap_ok(o->status[0] == PH_SENT && logged(": host mxc.two.test[127.0.0.5] refused to talk to me: 421 4.3.2 busy"), "so it does when the first is busy");
}

static void all_tests(void *arg)
{
	world_open();
	test_mx();
}

static const char zone[] =
	"null.test MX 0 .\nself.test MX 10 me.self.test\nme.self.test A 127.0.0.1\nzero.test MX 10 z.zero.test\nz.zero.test A 0.0.0.0\nliteral.test MX 10 127.0.0.1\n"
	"nx.test !nxdomain\ntxt.test TXT x\nnomxhost.test MX 10 does-not-exist.test\nfail.test !servfail\n"
	"back.test MX 10 down.back.test\nback.test MX 20 me.self.test\ndown.back.test A 127.0.0.2\n"
	"two.test MX 10 mxa.two.test\ntwo.test MX 20 mxb.two.test\nmxa.two.test A 127.0.0.3\nmxb.two.test A 127.0.0.4\n"
	"better.test MX 5 me.self.test\nbetter.test MX 10 mxb.two.test\nnull2.test MX 0 .\nnull2.test MX 10 mxb.two.test\n"
	"loop.test CNAME loop2.test\nloop2.test CNAME loop.test\nlots.test MX*60 10 h%d.lots.test\n*.lots.test A 127.0.0.2\n"
	"busy.test MX 10 mxc.two.test\nbusy.test MX 20 mxb.two.test\nmxc.two.test A 127.0.0.5\n";

int main(void)
{
	const char *args[2] = { NULL };
	char path[128], text[128];
	int status, port;
	FILE *f;

	world_dirs();
	path_in(path, sizeof(path), "zone");
	f = fopen(path, "w");
	if (f == NULL || fputs(zone, f) < 0 || fclose(f) != 0)
		return 1;
	args[0] = path;
	port = server_start("dnsd.py", args);
	path_in(path, sizeof(path), "resolv");
	f = fopen(path, "w");
	if (f == NULL || fprintf(f, "nameserver 127.0.0.1@%d\n", port) < 0 || fclose(f) != 0)
		return 1;
	setenv("PH_RESOLV_CONF", path, 1);
	port = sink_start("mxb", (const char *const[]){ "--listen", "127.0.0.4:0", NULL });
	snprintf(text, sizeof(text), "127.0.0.5:%d", port);
	sink_start("mxc", (const char *const[]){ "--listen", text, "connect=421 4.3.2 busy", NULL });
	snprintf(text, sizeof(text), "smtp_tcp_port = %d\ninet_interfaces = 127.0.0.1\nsmtp_bind_address = 127.0.0.1\n", port);
	world_start(text, "dns unix - - n - - smtp\n", false);
	ph_run_blocking(all_tests, NULL);
	status = world_end();
	tap_ok(status == 0, "the agent ends when it is told to: %d", status);
	return tap_done();
}
