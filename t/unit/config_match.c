/* config_match.c: network, domain and string patterns, lists of them, and what a broken one answers. */
#include <stdlib.h>
#include <unistd.h>

#include "config/cidr.h"
#include "config/private.h"
#include "tap.h"
#include <posthouse/lookup.h>

static struct ph_config *config;

static void reset(const char *main_text)
{
	struct ph_err err;

	ph_config_free(&config);
	if (ph_config_parse(main_text, NULL, &config, &err) < 0)
		printf("# %s\n", err.text);
}

static void is(const char *title, unsigned flags, const char *list, const char *name, const char *addr, enum ph_lookup want)
{
	struct ph_err err = { 0, "" };
	struct ph_match *m = ph_match_open(ph_config_main(config), title, list, flags);
	enum ph_lookup got = ph_match_find(m, name, addr, &err);

	tap_ok(got == want, "%s in \"%s\": %d %s", addr ? addr : name, list, got, err.text);
}

static void test_cidr(void)
{
	static const struct { const char *net, *ip; bool want; } t[] = {
		{ "192.0.2.0/24", "192.0.2.255", true }, { "192.0.2.0/24", "192.0.3.0", false }, { "0.0.0.0/0", "9.9.9.9", true },
		{ "0.0.0.0/0", "::1", false }, { "[::]/0", "2001:db8::1", true }, { "[2001:db8::]/33", "2001:db8:7fff::1", true },
		{ "[2001:db8::]/33", "2001:db8:8000::1", false }, { "192.0.2.7", "192.0.2.7", true }, { "[::1]", "::1", true },
		{ "[::1]", "0:0:0:0:0:0:0:1", true }, { "192.0.2.128/25", "192.0.2.127", false }, { "[192.0.2.7]", "192.0.2.7", true },
	};
	static const char *const bad[] = { "192.0.2.1/24", "192.0.2/24", "1.2.3.4/33", "1.2.3.4/", "1.2.3.4/x", "[::1", "[::1]/129", "::1/128",
		"[2001:db8::1]/32", "1.2.3.4/-1", "[]", "", "1.2.3.4/8x", "1.2.3.0/024x", "300.1.1.1" };
	struct ph_cidr c;
	struct ph_ip ip;
	struct ph_err err;
	size_t i;

	for (i = 0; i < PH_ARRAY_LEN(t); i++)
		tap_ok(ph_cidr_parse(t[i].net, &c, &err) == 0 && ph_ip_parse(t[i].ip, &ip) == 0 && ph_cidr_match(&c, &ip) == t[i].want,
		       "%s %s", t[i].net, t[i].ip);
	for (i = 0; i < PH_ARRAY_LEN(bad); i++) {
		err.text[0] = '\0';
		tap_ok(ph_cidr_parse(bad[i], &c, &err) < 0, "refused: %s", err.text);
	}
	ph_cidr_parse("192.0.2.1/24", &c, &err);
	tap_is(err.text, "non-null host address bits in \"192.0.2.1/24\", perhaps you should use \"192.0.2.0/24\" instead", "host bits");
}

static void test_domain(void)
{
	tap_ok(ph_domain_match("Example.COM", "example.com", false), "case");
	tap_ok(!ph_domain_match("example.com", "a.example.com", false), "no parents");
	tap_ok(ph_domain_match("example.com", "a.b.example.com", true), "parents");
	tap_ok(!ph_domain_match("example.com", "badexample.com", true), "only at a dot");
	tap_ok(ph_domain_match(".example.com", "a.example.com", false), ".domain");
	tap_ok(!ph_domain_match(".example.com", "a.example.com", true), ".domain when parents match");
	tap_ok(!ph_domain_match(".example.com", "example.com", false), ".domain is not the domain");
	tap_ok(!ph_domain_match("", "a", true), "empty pattern");
}

static void test_lists(void)
{
	unsigned dom = PH_MATCH_DOMAIN, net = PH_MATCH_ADDR, both = PH_MATCH_DOMAIN | PH_MATCH_ADDR;
	size_t bytes;

	reset("");
	is("x", dom, "a.example, b.example", "b.example", NULL, PH_LOOKUP_FOUND);
	is("x", dom, "a.example b.example", "c.example", NULL, PH_LOOKUP_NOTFOUND);
	is("x", dom, "", "c.example", NULL, PH_LOOKUP_NOTFOUND);
	is("x", dom, "!a.example .example", "a.example", NULL, PH_LOOKUP_NOTFOUND);
	is("x", dom, "!a.example .example", "b.example", NULL, PH_LOOKUP_FOUND);
	is("x", dom, "!!a.example", "a.example", NULL, PH_LOOKUP_FOUND);
	is("x", dom, "a.example", "x.a.example", NULL, PH_LOOKUP_NOTFOUND);
	is("relay_domains", dom, "a.example", "x.a.example", NULL, PH_LOOKUP_FOUND);
	is("x", dom | PH_MATCH_PARENT, "a.example", "x.a.example", NULL, PH_LOOKUP_FOUND);
	is("x", dom, "fail:all", "x.a.example", NULL, PH_LOOKUP_TEMPFAIL);
	is("x", net, "127.0.0.0/8, !192.0.2.1, 192.0.2.0/24 [::1]/128", "h", "192.0.2.1", PH_LOOKUP_NOTFOUND);
	is("x", net, "127.0.0.0/8, !192.0.2.1, 192.0.2.0/24 [::1]/128", "h", "192.0.2.2", PH_LOOKUP_FOUND);
	is("x", net, "127.0.0.0/8, !192.0.2.1, 192.0.2.0/24 [::1]/128", "h", "::1", PH_LOOKUP_FOUND);
	is("x", net, "127.0.0.0/8, 192.0.2.5/24 10.0.0.0/8", "h", "127.0.0.1", PH_LOOKUP_FOUND);
	is("x", net, "127.0.0.0/8, 192.0.2.5/24 10.0.0.0/8", "h", "10.0.0.1", PH_LOOKUP_TEMPFAIL);
	is("x", net, "::1/128", "h", "::1", PH_LOOKUP_TEMPFAIL);
	is("x", net, "2001:db8::1", "h", "2001:db8::1", PH_LOOKUP_TEMPFAIL);
	is("x", net, "10", "h", "10.0.0.1", PH_LOOKUP_NOTFOUND);
	is("x", both, "mx.example, 192.0.2.0/24", "mx.example", "198.51.100.1", PH_LOOKUP_FOUND);
	is("x", both, "mx.example, 192.0.2.0/24", "unknown", "192.0.2.9", PH_LOOKUP_FOUND);
	is("x", both, "mx.example", NULL, "192.0.2.9", PH_LOOKUP_NOTFOUND);
	is("x", PH_MATCH_STRING, "Alpha beta", "alpha", NULL, PH_LOOKUP_FOUND);
	is("x", PH_MATCH_STRING, "Alpha beta", "alphabet", NULL, PH_LOOKUP_NOTFOUND);
	is("x", PH_MATCH_STRING, "!", "alpha", NULL, PH_LOOKUP_TEMPFAIL);
	is("x", dom, "/no/such/file", "a", NULL, PH_LOOKUP_TEMPFAIL);
	is("x", dom, "a /no/such/file", "a", NULL, PH_LOOKUP_FOUND);
	is("x", dom, "nosuchtype:x", "a", NULL, PH_LOOKUP_TEMPFAIL);
	tap_ok(ph_match_open(ph_config_main(config), "x", "a b", dom) == ph_match_open(ph_config_main(config), "x", "a b", dom), "shared");
	bytes = ph_arena_bytes(config->arena);
	ph_match_open(ph_config_main(config), "x", "a b", dom);
	tap_ok(ph_arena_bytes(config->arena) == bytes, "and asking for it again takes no memory");
	reset("parent_domain_matches_subdomains = y, x\n");
	is("x", dom, "a.example", "x.a.example", NULL, PH_LOOKUP_FOUND);
	is("relay_domains", dom, "a.example", "x.a.example", NULL, PH_LOOKUP_NOTFOUND);
}

static void test_files(void)
{
	char path[] = "/tmp/phmatch.XXXXXX", list[64];
	int fd = mkstemp(path);
	FILE *f = fdopen(fd, "w");

	fprintf(f, "# comment\na.example\n  b.example, !c.example\n.example\n");
	fclose(f);
	reset("");
	is("x", PH_MATCH_DOMAIN, path, "b.example", NULL, PH_LOOKUP_FOUND);
	is("x", PH_MATCH_DOMAIN, path, "c.example", NULL, PH_LOOKUP_NOTFOUND);
	is("x", PH_MATCH_DOMAIN, path, "d.example", NULL, PH_LOOKUP_FOUND);
	snprintf(list, sizeof(list), "!%s other", path);
	is("x", PH_MATCH_DOMAIN, list, "b.example", NULL, PH_LOOKUP_NOTFOUND);
	is("x", PH_MATCH_DOMAIN, list, "c.example", NULL, PH_LOOKUP_FOUND);
	is("x", PH_MATCH_DOMAIN, list, "other", NULL, PH_LOOKUP_FOUND);
	f = fopen(path, "w");
	fprintf(f, "%s\n", path);
	fclose(f);
	reset("");
	is("x", PH_MATCH_DOMAIN, path, "b.example", NULL, PH_LOOKUP_TEMPFAIL);
	unlink(path);
	ph_config_free(&config);
}

int main(void)
{
	test_cidr();
	test_domain();
	test_lists();
	test_files();
	return tap_done();
}
