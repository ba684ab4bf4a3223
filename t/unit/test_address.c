/* Address text: SMTP paths, quoting, extensions, header lists, host names. */
#include "route/route.h"
#include "route/hostname.h"
#include "route/token.h"
#include "tap.h"

#include <errno.h>

static struct ph_arena *arena;

static const struct {
	const char *in, *want;          /* NULL: refused */
} paths[] = {
	{ "<user@here.test>", "user@here.test" }, { "user@here.test", "user@here.test" }, { "<>", "" },
	{ "<u%out.test@here.test>", "u%out.test@here.test" }, { "<\"u@out.test\"@here.test>", "u@out.test@here.test" },
	{ "<u@out.test@here.test>", "u@out.test@here.test" }, { "<@here.test:u@out.test>", "u@out.test" },
	{ "<@a,@b.test:u@out.test>", "u@out.test" }, { "<u(c)@here.test>", "u@here.test" }, { "<(c)u@here.test>", "u@here.test" },
	{ "<u@here.test(c)>", "u@here.test" }, { "<u@here.test(c(d)\\))>", "u@here.test" },
	{ "<a@here.test><b@here.test>", NULL }, { "<a@here.test>,b@here.test", NULL }, { "<a@here.test b@here.test>", NULL },
	{ "<a@here.test,b@here.test>", NULL }, { "<u@[1.2.3.4>", "u@[1.2.3.4]" }, { "<u@[127.1]>", NULL }, { "<u@[300.1.1.1]>", NULL },
	{ "<u@[tag:x]>", NULL }, { "<u@[IPv6:::1]>", "u@[IPv6:::1]" }, { "<u@[IPv6:1::2::3]>", NULL }, { "<u@[0x7f.1]>", NULL },
	{ "<@here.test>", "@here.test" }, { "<\"\"@here.test>", "@here.test" }, { "<.u@here.test>", ".u@here.test" },
	{ "<u..x@here.test>", "u..x@here.test" }, { "<user@>", "user@" }, { "<u@here.test.>", "u@here.test." }, { "<u@here.test..>", NULL },
	{ "<u@.here.test>", NULL }, { "<\"a\\\"b\"@here.test>", "a\"b@here.test" }, { "<us\\er@here.test>", "user@here.test" },
	{ "<u@here.test\\>", NULL }, { "<\"u@here.test>", NULL }, { "<a b@here.test>", NULL }, { "< u @ here.test >", "u@here.test" },
	{ "<<u@here.test>>", "u@here.test" }, { "<u@here.test", NULL }, { "<\"a>b\"@d.test>", "a>b@d.test" }, { "<postmaster>", "postmaster" },
	{ "<\"a b\"@d.test>", "a b@d.test" }, { "<a:b)]@d.test>", "a:b)]@d.test" }, { "<\"<x@y>\"@d.test>", "<x@y>@d.test" }, { "<u@-bad.test>", NULL }, { "", NULL },
	{ "<u@\xc3\xa9.test>", NULL }, { "<=?utf-8?q?u=40out.test=3e?=@here.test>", "=?utf-8?q?u=40out.test=3e?=@here.test" },
};

static void test_paths(void)
{
	const char *got, *rest;
	struct ph_err err;
	char deep[20100];

	for (size_t i = 0; i < PH_ARRAY_LEN(paths); i++) {
		got = NULL;
		ph_address_parse_path(paths[i].in, strlen(paths[i].in), false, arena, &got, &rest, &err);
		tap_is(got, paths[i].want, paths[i].in);
	}
	tap_ok(ph_address_parse_path("<a@b> SIZE=1", 12, false, arena, &got, &rest, &err) == 0 && !strcmp(rest, " SIZE=1"), "rest of the line");
	tap_ok(ph_address_parse_path("<\xc3\xa9@b>", 6, false, arena, &got, &rest, &err) == -EILSEQ, "non-ASCII without SMTPUTF8");
	tap_ok(ph_address_parse_path("<\xc0\xaf@b>", 6, true, arena, &got, &rest, &err) == -EBADMSG, "overlong UTF-8");
	tap_ok(ph_address_parse_path("<\xc3\xa9@\xc3\xa9.test>", 12, true, arena, &got, &rest, &err) == 0, "UTF-8 address");
	tap_ok(ph_address_parse_path("<u@a\xe3\x80\x82" "b>", 9, true, arena, &got, &rest, &err) == -EINVAL, "ideographic full stop in a domain");
	memset(deep, '(', 10000);
	memset(deep + 10000, ')', 10000);
	strcpy(deep + 20000, "u@b.test");
	tap_ok(ph_address_parse_path(deep, 20008, false, arena, &got, &rest, &err) == 0 && !strcmp(got, "u@b.test"), "10000 nested comments");
	memset(deep, 'a', 3000);
	tap_ok(ph_address_parse_path(deep, 3000, false, arena, &got, &rest, &err) == -EINVAL, "too long is refused, not cut");
}

static void test_quote(void)
{
	tap_is(ph_address_quote(arena, "a b@c"), "\"a b\"@c", "space");
	tap_is(ph_address_quote(arena, "a\"b\\c@d"), "\"a\\\"b\\\\c\"@d", "quote and backslash");
	tap_is(ph_address_quote(arena, "a@b@c"), "\"a@b\"@c", "at");
	tap_is(ph_address_quote(arena, "a.b@c"), "a.b@c", "dot");
	tap_is(ph_address_quote(arena, "a..b@c"), "\"a..b\"@c", "two dots");
	tap_is(ph_address_quote(arena, ".a@c"), "\".a\"@c", "leading dot");
	tap_is(ph_address_quote(arena, "@c"), "\"\"@c", "empty local part");
	tap_is(ph_address_quote(arena, ""), "", "null address");
	tap_is(ph_address_quote(arena, "a b"), "\"a b\"", "no domain");
}

static const char *ext(const char *local, const char *delim)
{
	return ph_address_extension(local, strlen(local), delim);
}

static void test_extension(void)
{
	tap_is(ext("user+x+y", "+"), "+x+y", "first delimiter");
	tap_is(ext("user-x", "+-"), "-x", "set of delimiters");
	tap_is(ext("user", "+"), NULL, "none");
	tap_is(ext("+x", "+"), NULL, "leading delimiter");
	tap_is(ext("user+", "+"), "+", "empty extension");
	tap_is(ext("owner-list", "-"), NULL, "owner-");
	tap_is(ext("list-request", "-"), NULL, "-request");
	tap_is(ext("owner-list+x", "+"), "+x", "owner- is free when - is no delimiter");
	tap_is(ext("double-bounce", "-"), NULL, "double-bounce");
	tap_is(ext("user+x", ""), NULL, "no delimiter");
}

static const char *complete(void *arg, const char *address)
{
	return strchr(address, '@') ? NULL : ph_arena_printf(arena, "%s@X", address);
}

static void test_list(void)
{
	static const char *const cases[][2] = {
		{ "\"A  B\"   <user> (comment here)", "\"A  B\" <user@X>(comment here)" },
		{ "\"A  B\" <user>, (cmt) foo , grp: a, b@c.d;, x@y.z", "\"A  B\" <user@X>,\nfoo@X (cmt),\ngrp: a@X,\nb@c.d;,\nx@y.z" },
		{ "unq <\"quoted l\"@dom>, <@r.x:route@there>, a b c, <>, \"q\" (c)", "unq <\"quoted l\"@dom>,\n<route@there>,\na@X,\nb@X,\nc@X,\n<>,\nq@X (c)" },
		{ "u (c1) @ (c2) here (c3), z", "u@here (c1) (c2) (c3),\nz@X" },
		{ "First Q. Last <user>, \"J. Doe\"<user>, a (x) b, J@x Doe <u>", "First Q.Last <user@X>,\n\"J. Doe\" <user@X>,\na@X,\nb@X (x),\nJ@x Doe <u@X>" },
		{ "(lead) \"n\" (mid) <u(in)> (post) trail", "(lead) \"n\" (mid) <u@X (in)>,\ntrail@X (post)" },
		{ "user; other, <user, a@b>, @host.x", "user@X;,\nother@X,\n<\"user, a\"@b>,\n\"\"@host.x" },
		{ "grp:;, undisclosed-recipients:;, u", "grp: ;,\nundisclosed-recipients: ;,\nu@X" },
		{ "z:y; a:b, g:h: c; d, e:f", "z:y;a: b@X,\ng:h: c@X;,\nd@X,\n\"e:f\"@X" },
		{ "<u, a>, <b, c>", "<\"u, a\"@X>,\n<\"b, c\"@X>" },
		{ "x:y <u> <v>, <w", "x@X:y <u@X> <v@X>,\n\"<w\"@X" },
		{ "a)b c], @r.x:u, \"\", <@>, x,", "\"a)b\"@X,\n\"c]\"@X,\nu@X,\n\"\"@X,\n<\"\">,\nx@X,\n" },
		{ "u@[ 1.2 .3 ], x.(c)y", "u@[ 1.2 .3 ],\nx.y@X (c)" },
	};

	for (size_t i = 0; i < PH_ARRAY_LEN(cases); i++) {
		struct ph_buf out = PH_BUF_INIT(4096);

		ph_addrlist_rewrite(cases[i][0], strlen(cases[i][0]), 10240, arena, complete, NULL, &out);
		tap_is(ph_buf_str(&out), cases[i][1], cases[i][0]);
		ph_buf_done(&out);
	}
}

static void test_hosts(void)
{
	tap_ok(ph_hostname_valid("a.b-c.d_e", 0), "name");
	tap_ok(!ph_hostname_valid("a..b", 0) && !ph_hostname_valid("a.", 0) && !ph_hostname_valid(".a", 0), "empty labels");
	tap_ok(!ph_hostname_valid("-a.b", 0) && !ph_hostname_valid("a-.b", 0), "hyphens");
	tap_ok(!ph_hostname_valid("1.2.3.4", 0) && ph_hostname_valid("1.2.3.4", PH_HOST_NUMERIC), "numeric");
	tap_ok(!ph_hostname_valid("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", 0), "64 byte label");
	tap_ok(ph_ipv4_valid("1.2.3.4") && ph_ipv4_valid("0.0.0.0") && !ph_ipv4_valid("0.1.2.3"), "IPv4");
	tap_ok(!ph_ipv4_valid("1.2.3") && !ph_ipv4_valid("1.2.3.4.5") && !ph_ipv4_valid("1.2.3.256") && !ph_ipv4_valid("1.2.3."), "bad IPv4");
	tap_ok(ph_hostliteral_valid("ipv6:::1") && !ph_hostliteral_valid("::1") && !ph_hostliteral_valid("127.1"), "literals");
}

int main(void)
{
	arena = ph_arena_new();
	test_paths();
	test_quote();
	test_extension();
	test_list();
	test_hosts();
	ph_arena_free(&arena);
	return tap_done();
}
