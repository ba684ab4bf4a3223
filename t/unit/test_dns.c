/* The resolver against t/lib/dnsd.py: answers, failures, hostile data; resolv.conf and hosts texts. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <posthouse/co.h>
#include "base/loop.h"
#include "net/dns_conf.h"
#include "net/dns_private.h"
#include "net/dns_wire.h"
#include "tap.h"

static const char zone[] =
	"ok.test A 192.0.2.1\nok.test A 192.0.2.2\nok.test AAAA 2001:db8::1\n"
	"mx.test MX 20 b.test\nmx.test MX 10 a.test\nnull.test MX 0 .\n"
	"text.test TXT \"hello world\"\n"
	"cn.test CNAME ok.test\nloop1.test CNAME loop2.test\nloop2.test CNAME loop1.test\n"
	"fail.test !servfail\nrefused.test !refused\ndead.test !timeout\ngarbage.test !garbage\n"
	"trunc.test !truncate\nof.trunc.test A 192.0.2.3\ncut.test !truncate-only\n"
	"many.test MX*300 10 mx%d.many.test\n"
	"short.test raw MX 00\n"
	"evil.test raw MX 000a03612e6200\nmixed.test raw MX 000a03612e6200\nmixed.test MX 5 good.test\n"
	"host named.test 192.0.2.9\n"
	"10.2.0.192.in-addr.arpa PTR 1.2.3.4\n10.2.0.192.in-addr.arpa PTR real.test\n"
	"x1.test CNAME x2.test\nx2.test CNAME x3.test\nx3.test CNAME x4.test\nx4.test CNAME ok.test\n";

static char dir[] = "/tmp/test_dns.XXXXXX";
static pid_t server;

static void put_file(const char *name, const char *text, char path[64])
{
	FILE *f;

	snprintf(path, 64, "%s/%s", dir, name);
	f = fopen(path, "w");
	if (f == NULL || fputs(text, f) < 0 || fclose(f) != 0)
		abort();
}

static int start_server(void)
{
	const char *src = getenv("srcdir");
	char path[64], script[512];
	int fds[2], port = 0;
	FILE *in;

	put_file("zone", zone, path);
	snprintf(script, sizeof(script), "%s/t/lib/dnsd.py", src ? src : "..");
	if (pipe(fds) < 0 || (server = fork()) < 0)
		abort();
	if (server == 0) {
		dup2(fds[1], 1);
		close(fds[0]);
		execlp("python3", "python3", script, path, (char *)NULL);
		_exit(127);
	}
	close(fds[1]);
	in = fdopen(fds[0], "r");
	if (in == NULL || fscanf(in, "port %d", &port) != 1)
		port = 0;
	return port;
}

#define SOON (ph_now_ms() + 20000)

static enum ph_dns_status ask(struct ph_arena *a, const char *name, int type, struct ph_dns_answer **ans)
{
	return ph_dns_query(a, name, type, SOON, ans);
}

static void test_answers(struct ph_arena *a)
{
	struct ph_dns_answer *ans;

	tap_ok(ask(a, "ok.test", PH_DNS_A, &ans) == PH_DNS_OK && ans->n == 2 && ans->rr[0].data.n == 4, "two A records");
	tap_ok(ask(a, "OK.test.", PH_DNS_AAAA, &ans) == PH_DNS_OK && ans->n == 1 && ans->rr[0].data.n == 16, "AAAA; a dot at the end");
	tap_ok(ask(a, "mx.test", PH_DNS_MX, &ans) == PH_DNS_OK && ans->n == 2 && ans->rr[0].pref + ans->rr[1].pref == 30, "MX");
	tap_ok(ask(a, "null.test", PH_DNS_MX, &ans) == PH_DNS_OK && ans->n == 1 && ans->rr[0].name[0] == '\0', "N-192 null MX has an empty name");
	tap_ok(ask(a, "text.test", PH_DNS_TXT, &ans) == PH_DNS_OK && ans->rr[0].data.n == 11, "TXT");
	tap_ok(ask(a, "cn.test", PH_DNS_A, &ans) == PH_DNS_OK && ans->n == 2, "a CNAME is followed");
	tap_ok(ask(a, "x1.test", PH_DNS_A, &ans) == PH_DNS_OK && ans->n == 2, "so is a chain");
	tap_ok(ask(a, "ok.test", PH_DNS_MX, &ans) == PH_DNS_NODATA, "NODATA");
	tap_is(ans->text, "Host found but no data record of requested type", "in words");
	tap_ok(ask(a, "no.test", PH_DNS_A, &ans) == PH_DNS_NXDOMAIN, "NXDOMAIN");
	tap_is(ans->text, "Host not found", "in words");
	tap_ok(ask(a, "trunc.test", PH_DNS_A, &ans) == PH_DNS_OK && ans->n == 1, "N-188 a cut answer is asked for again over TCP");
	tap_ok(ask(a, "many.test", PH_DNS_MX, &ans) == PH_DNS_OK && ans->n == PH_DNS_RR_MAX, "N-188 of 300 MX records 100 are kept");
}

static void test_failures(struct ph_arena *a)
{
	static const char *const bad[] = { "fail.test", "refused.test", "garbage.test", "loop1.test", "cut.test", "short.test" };
	struct ph_dns_answer *ans;
	struct ph_dns_question q[PH_ARRAY_LEN(bad)];
	int64_t start;
	size_t i;

	start = ph_now_ms_exact();
	tap_ok(ph_dns_query(a, "dead.test", PH_DNS_A, ph_now_ms() + 300, &ans) == PH_DNS_TEMPFAIL, "N-197 time-out");
	tap_ok(ph_now_ms_exact() - start < 2000, "after the deadline");
	tap_is(ans->text, "Host not found, try again", "in words");
	for (i = 0; i < PH_ARRAY_LEN(bad); i++)
		q[i] = (struct ph_dns_question){ bad[i], i == 5 ? PH_DNS_MX : PH_DNS_A, NULL };
	ph_dns_query_all(a, q, PH_ARRAY_LEN(bad), SOON);
	for (i = 0; i < PH_ARRAY_LEN(bad); i++)
		tap_ok(q[i].answer->status == PH_DNS_TEMPFAIL, "N-188 N-189 N-190 N-191 N-197 %s is TEMPFAIL: %d", bad[i], q[i].answer->status);
	tap_ok(ask(a, "evil.test", PH_DNS_MX, &ans) == PH_DNS_BADNAME, "N-202 a dot within a label");
	tap_ok(ask(a, "mixed.test", PH_DNS_MX, &ans) == PH_DNS_OK && ans->n == 1 && strcmp(ans->rr[0].name, "good.test") == 0,
	       "the good record beside the bad one is used");
	tap_ok(ask(a, "a..b", PH_DNS_A, &ans) == PH_DNS_BADNAME && ask(a, "", PH_DNS_A, &ans) == PH_DNS_BADNAME &&
	       ask(a, "a b.test", PH_DNS_A, &ans) == PH_DNS_BADNAME, "names that cannot be");
}

static void test_hosts(struct ph_arena *a)
{
	struct ph_endpoint *e, peer;
	const char *text, *name;
	char buf[108];
	size_t n;

	tap_ok(ph_dns_addresses(a, "ok.test", AF_UNSPEC, false, SOON, &e, &n, &text) == PH_DNS_OK && n == 3, "A and AAAA together");
	tap_ok(ph_dns_addresses(a, "ok.test", AF_INET6, false, SOON, &e, &n, &text) == PH_DNS_OK && n == 1, "one family");
	tap_ok(ph_dns_addresses(a, "192.0.2.50", AF_UNSPEC, true, SOON, &e, &n, &text) == PH_DNS_OK && n == 1, "a number is itself");
	tap_is(ph_endpoint_addr(&e[0], buf, sizeof(buf)), "192.0.2.50", "unchanged");
	tap_ok(ph_dns_addresses(a, "InFile.example", AF_UNSPEC, true, SOON, &e, &n, &text) == PH_DNS_OK && n == 2, "from the hosts file");
	tap_ok(ph_dns_addresses(a, "infile.example", AF_UNSPEC, false, SOON, &e, &n, &text) == PH_DNS_NXDOMAIN && n == 0, "not without leave");
	tap_ok(ph_dns_addresses(a, "fail.test", AF_UNSPEC, true, SOON, &e, &n, &text) == PH_DNS_TEMPFAIL, "TEMPFAIL");
	ph_endpoint_ip(&peer, "192.0.2.9", 25);
	tap_ok(ph_dns_name_of(a, &peer, SOON, &name) == PH_DNS_OK && strcmp(name, "named.test") == 0, "PTR");
	ph_endpoint_ip(&peer, "192.0.2.10", 25);
	tap_ok(ph_dns_name_of(a, &peer, SOON, &name) == PH_DNS_OK && strcmp(name, "real.test") == 0, "N-198 an address as a name is passed over");
	ph_endpoint_ip(&peer, "192.0.2.60", 25);
	tap_ok(ph_dns_name_of(a, &peer, SOON, &name) == PH_DNS_OK && strcmp(name, "infile.example") == 0, "reverse from the hosts file");
	ph_endpoint_ip(&peer, "192.0.2.200", 25);
	tap_ok(ph_dns_name_of(a, &peer, SOON, &name) == PH_DNS_NXDOMAIN && name == NULL, "no PTR");
}

static void test_resolv(void)
{
	struct ph_dns_resolv r;

	ph_dns_resolv_parse("# c\nnameserver 192.0.2.1\nnameserver 2001:db8::1 ; x\nnameserver bogus\nsearch a b\noptions timeout:3 attempts:1 rotate\n", &r);
	tap_ok(r.n == 2 && r.timeout_s == 3 && r.attempts == 1, "resolv.conf");
	tap_is(r.server[1], "2001:db8::1", "IPv6 server");
	ph_dns_resolv_parse("", &r);
	tap_ok(r.n == 1 && strcmp(r.server[0], "127.0.0.1") == 0, "no server: the local one");
}

static void test_wire(struct ph_arena *a)
{
	/* A pointer to itself, and a record that is longer than the packet. */
	static const uint8_t self[] = { 0, 1, 0x81, 0x80, 0, 0, 0, 1, 0, 0, 0, 0, 0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 1, 0, 4, 1, 2, 3, 4 };
	static const uint8_t longer[] = { 0, 1, 0x81, 0x80, 0, 0, 0, 1, 0, 0, 0, 0, 1, 'a', 0, 0, 1, 0, 1, 0, 0, 0, 1, 0xff, 4, 1, 2, 3, 4 };
	static const uint8_t good[] = { 0, 1, 0x81, 0x80, 0, 0, 0, 1, 0, 0, 0, 0, 1, 'a', 0, 0, 1, 0, 1, 0, 0, 0, 1, 0, 4, 1, 2, 3, 4 };
	struct ph_dns_answer ans;
	unsigned dropped, bad;
	size_t i;
	bool all = true;

	ph_dns_wire_parse(self, sizeof(self), "a", PH_DNS_A, a, &ans, &dropped, &bad);
	tap_ok(ans.status == PH_DNS_TEMPFAIL, "N-190 a compression loop");
	ph_dns_wire_parse(longer, sizeof(longer), "a", PH_DNS_A, a, &ans, &dropped, &bad);
	tap_ok(ans.status == PH_DNS_TEMPFAIL, "N-191 RDLENGTH past the end");
	ph_dns_wire_parse(good, sizeof(good), "A.", PH_DNS_A, a, &ans, &dropped, &bad);
	tap_ok(ans.status == PH_DNS_OK && ans.n == 1, "a good packet");
	for (i = 0; i < sizeof(good); i++) {
		ph_dns_wire_parse(good, i, "a", PH_DNS_A, a, &ans, &dropped, &bad);
		all = all && ans.status == PH_DNS_TEMPFAIL;
	}
	tap_ok(all, "N-190 N-191 every part of it alone is TEMPFAIL");
}

static void all_tests(void *arg)
{
	struct ph_arena *a = ph_arena_new();

	test_resolv();
	test_wire(a);
	test_answers(a);
	test_failures(a);
	test_hosts(a);
	ph_arena_free(&a);
}

int main(void)
{
	char text[128], path[64];
	int port;

	if (mkdtemp(dir) == NULL)
		return 1;
	port = start_server();
	snprintf(text, sizeof(text), "nameserver 127.0.0.1@%d\n", port);
	put_file("resolv", text, path);
	setenv("PH_RESOLV_CONF", path, 1);
	put_file("hosts", "192.0.2.60 infile.example alias\n2001:db8::60 infile.example\n", path);
	setenv("PH_HOSTS", path, 1);
	ph_run_blocking(all_tests, NULL);
	kill(server, SIGTERM);
	waitpid(server, NULL, 0);
	snprintf(text, sizeof(text), "rm -rf %s", dir);
	if (system(text) != 0)
		return 1;
	return tap_done();
}
