#!/usr/bin/env python3
"""ldap tables against slapd."""
import os
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from backends import Postmap, Proxy, Server, Tap, find, relay_checks

slapd, add = find("slapd"), find("slapadd")
t = Tap()
s = Server()
p = Postmap()

CONF = """
include /etc/ldap/schema/core.schema
include /etc/ldap/schema/cosine.schema
include /etc/ldap/schema/inetorgperson.schema
attributetype ( 1.3.6.1.4.1.99999.1 NAME 'maildrop' EQUALITY caseIgnoreMatch SYNTAX 1.3.6.1.4.1.1466.115.121.1.15 )
attributetype ( 1.3.6.1.4.1.99999.2 NAME 'memberdn' EQUALITY distinguishedNameMatch SYNTAX 1.3.6.1.4.1.1466.115.121.1.12 )
attributetype ( 1.3.6.1.4.1.99999.3 NAME 'memberurl' EQUALITY caseExactMatch SYNTAX 1.3.6.1.4.1.1466.115.121.1.15 )
attributetype ( 1.3.6.1.4.1.99999.4 NAME 'memberaddr' EQUALITY caseIgnoreMatch SYNTAX 1.3.6.1.4.1.1466.115.121.1.15 )
objectclass ( 1.3.6.1.4.1.99999.5 NAME 'mailThing' SUP top AUXILIARY MAY ( maildrop $ memberdn $ memberurl $ memberaddr $ mail ) )
pidfile @DIR@/pid
modulepath /usr/lib/ldap
moduleload back_mdb
TLSCertificateFile @DIR@/cert.pem
TLSCertificateKeyFile @DIR@/key.pem
database mdb
suffix "dc=test"
rootdn "cn=admin,dc=test"
rootpw secret
directory @DIR@/db
maxsize 20971520
dbnosync
access to attrs=userPassword by anonymous auth by * none
access to dn.subtree="ou=private,dc=test" by users read by * none
access to * by * read
"""


def entry(dn, **attrs):
    name = dn.split("=", 1)[1].split(",")[0]
    out = "dn: %s\n" % dn
    if dn.startswith("cn="):
        out += "objectClass: inetOrgPerson\nobjectClass: mailThing\nsn: x\ncn: %s\n" % name
    for k, v in attrs.items():
        for one in v if isinstance(v, list) else [v]:
            out += "%s: %s\n" % (k, one)
    return out + "\n"


LDIF = ("dn: dc=test\nobjectClass: dcObject\nobjectClass: organization\no: t\ndc: test\n\n"
        "dn: ou=private,dc=test\nobjectClass: organizationalUnit\nou: private\n\n"
        "dn: ou=a.test,dc=test\nobjectClass: organizationalUnit\nou: a.test\n\n"
        + entry("cn=one,dc=test", mail="one@a.test", maildrop="first")
        + entry("cn=two,dc=test", mail="two@a.test", maildrop=["x@b.test", "y@c.test", "z"])
        + entry("cn=star,dc=test", mail="st*r@a.test", maildrop="asterisk")
        + entry("cn=paren,dc=test", mail="p(a)r@a.test", maildrop="parens")
        + entry("cn=in,ou=a.test,dc=test", mail="in@a.test", maildrop="inside")
        + entry("cn=secret,ou=private,dc=test", mail="secret@a.test", maildrop="hidden", userPassword="pw")
        + entry("cn=g,dc=test", mail="g@a.test", memberaddr="direct@a.test", memberdn=["cn=m1,dc=test", "cn=m2,dc=test", "cn=gone,dc=test"])
        + entry("cn=m1,dc=test", mail="m1@a.test")
        + entry("cn=m2,dc=test", mail="m2@a.test", memberdn="cn=m3,dc=test")
        + entry("cn=m3,dc=test", mail="m3@a.test")
        + entry("cn=tg,dc=test", mail="tg@a.test", maildrop="terminal@a.test", memberdn="cn=m1,dc=test")
        + entry("cn=u,dc=test", mail="u@a.test", memberurl="ldap:///dc=test?mail?sub?(cn=m*)")
        + entry("cn=badurl,dc=test", mail="badurl@a.test", memberurl="ldap:///dc=test?mail?what?(cn=m*)")
        + entry("cn=loop1,dc=test", mail="loop@a.test", memberdn="cn=loop2,dc=test")
        + entry("cn=loop2,dc=test", memberdn="cn=loop1,dc=test")
        + entry("cn=known,dc=test", mail="known@relay.test", maildrop="x"))

try:
    os.mkdir(s.dir + "/db")
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=other.test", "-keyout", s.dir + "/key.pem", "-out",
                    s.dir + "/cert.pem"], capture_output=True, check=True)
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=stranger.test", "-keyout", s.dir + "/k2.pem", "-out",
                    s.dir + "/strange.pem"], capture_output=True, check=True)
    open(s.dir + "/slapd.conf", "w").write(CONF.replace("@DIR@", s.dir))
    s.run(add, "-f", s.dir + "/slapd.conf", "-q", input=LDIF)
    s.start(slapd, "-d", "0", "-f", s.dir + "/slapd.conf", "-h", "ldap://127.0.0.1:%d ldapi://%s" % (s.port, (s.dir + "/sock").replace("/", "%2F")))
    s.wait_port()
    host = "server_host = ldap://127.0.0.1:%d\n" % s.port
    base = host + "search_base = dc=test\nversion = 3\nbind = no\nquery_filter = mail=%s\n"

    def cf(name, text, start=base):
        return "ldap:" + p.write(name + ".cf", start + text)

    a = cf("a", "")
    t.eq(p.q(a, "one@a.test"), "first", "found")
    t.eq(p.q(a, "none@a.test"), None, "not found")
    t.eq(p.q(a, "two@a.test"), "x@b.test,y@c.test,z", "several values")
    # N-237: the key is text in the filter, and in the name.
    for key in ("*", "*@a.test", "one@a.test)(uid=*", "*)(uid=*", "(", ")", "\\", "\\2a", "one*", "o\\6ee@a.test", " one@a.test"):
        t.eq(p.q(a, key), None if key.strip() == key else p.q(a, key), "N-237 key %r finds nothing" % key)
    t.eq([p.q(a, k) for k in ("st*r@a.test", "p(a)r@a.test")], ["asterisk", "parens"], "N-237 what must be escaped is found")
    b = cf("base", "", base.replace("search_base = dc=test", "search_base = ou=%d,dc=test"))
    t.eq(p.q(b, "in@a.test"), "inside", "the key in search_base")
    t.eq([p.q(b, "in@" + d) for d in ("none.test", "a.test,dc=test", "a.test+ou=x", '"', "#x", "x=y", "<>;")], [None] * 7, "N-237 in a name it is escaped; no such base: not found")
    e = p.q(cf("nobase", "", base.replace("dc=test", "dc=nowhere")), "one@a.test")
    t.ok(e and "Search base 'dc=nowhere' not found" in e, "a fixed search_base that does not exist is an error", e)
    t.eq(p.q(cf("scope", "scope = one\n"), "in@a.test"), None, "scope")
    t.eq(p.q(cf("fmt", "result_format = <%u:%d:%S:%1>\n"), "two@a.test"), "<x:b.test:two@a.test:test>,<y:c.test:two@a.test:test>", "result_format")
    t.eq(p.q(cf("filter", "result_filter = [%s]\n"), "one@a.test"), "[first]", "result_filter, its old name")
    d = cf("dom", "domain = a.test\n")
    t.eq([p.q(d, k) for k in ("one@a.test", "known@relay.test", "one")], ["first", None, None], "domain")
    e = p.q(cf("lim", "expansion_limit = 2\n"), "two@a.test")
    t.ok(e and "Expansion limit exceeded for key 'two@a.test'" in e, "expansion_limit", e)
    e = p.q(cf("size", "size_limit = 1\n", base.replace("mail=%s", "cn=m*")), "x")
    t.ok(e and "Size limit exceeded" in e, "size_limit", e)

    group = "special_result_attribute = memberdn memberurl\nresult_attribute = memberaddr\nleaf_result_attribute = mail\nterminal_result_attribute = maildrop\n"
    g = cf("g", group)
    t.eq(p.q(g, "g@a.test"), "direct@a.test,m1@a.test,m3@a.test", "special and leaf attributes; a member that is gone is left out")
    t.eq(p.q(g, "m1@a.test"), "m1@a.test", "a leaf asked for itself")
    t.eq(p.q(g, "tg@a.test"), "terminal@a.test", "a terminal attribute ends it")
    t.eq(sorted((p.q(g, "u@a.test") or "").split(",")), ["m1@a.test", "m2@a.test", "m3@a.test"], "an LDAP URL; it asks for mail alone, so all are leaves")
    e = p.q(g, "badurl@a.test")
    t.ok(e and "malformed URL" in e, "N-238 a malformed URL is an error", e)
    e = p.q(g, "loop@a.test")
    t.ok(e and "Recursion limit exceeded" in e, "N-238 a circular group is an error", e)
    e = p.q(cf("rec", group + "recursion_limit = 1\n"), "g@a.test")
    t.ok(e and "Recursion limit exceeded" in e, "recursion_limit", e)

    who = "bind = yes\nbind_dn = cn=secret,ou=private,dc=test\nbind_pw = pw\n"
    t.eq(p.q(a, "secret@a.test"), None, "not bound: not readable")
    t.eq(p.q(cf("bind", who), "secret@a.test"), "hidden", "a simple bind")
    e = p.q(cf("badpw", who.replace("= pw", "= topsecretword")), "secret@a.test")
    t.ok(e and "Unable to bind" in e and "topsecretword" not in e, "N-238 a wrong password is an error, and is not shown", e)
    e = p.q(cf("sasl", "bind = sasl\nsasl_mechs = NOSUCH\n"), "one@a.test")
    t.ok(e and "Unable to bind" in e, "a SASL mechanism that does not exist is an error", e)
    if os.geteuid() == 0:
        t.eq(p.q(cf("ext", "bind = sasl\nsasl_mechs = EXTERNAL\n", base.replace(host, "server_host = ldapi://%s\n" % (s.dir + "/sock").replace("/", "%2F"))),
                 "secret@a.test"), "hidden", "bind = sasl, EXTERNAL, over ldapi")
    e = p.q(cf("kind", "bind = maybe\n"), "x")
    t.ok(e and "bad value for bind" in e, "a bind kind that does not exist", e)
    t.eq(p.q(cf("tls", "start_tls = yes\n"), "one@a.test"), "first", "STARTTLS")
    e = p.q(cf("tls2", "start_tls = yes\ntls_require_cert = yes\ntls_ca_cert_file = %s/strange.pem\n" % s.dir), "one@a.test")
    t.ok(e and "STARTTLS" in e, "N-240 tls_require_cert: a certificate that cannot be verified is refused", e)
    t.eq(p.q(cf("two", "", base.replace("server_host = ", "server_host = ldap://127.0.0.1:1 ")), "one@a.test"), "first", "the second of two servers")
    t.eq(p.q(cf("hostport", "", base.replace("ldap://", "")), "one@a.test"), "first", "host:port instead of a URL")
    t.eq(p.q(cf("hostport2", "server_port = %d\n" % s.port, base.replace(host, "server_host = 127.0.0.1\n")), "one@a.test"), "first", "server_port")
    t.eq(p.q(cf("chase", "chase_referrals = yes\n"), "two@a.test"), "x@b.test,y@c.test,z", "chase_referrals: on a helper thread")
    t.ok("cache_size ignored" in subprocess.run([os.environ["INST"] + "/sbin/postmap", "-c", p.dir, "-q", "one@a.test", cf("cache", "cache_size = 1\n")],
                                                capture_output=True, text=True).stderr, "cache: ignored with a warning")
    e = p.q(cf("down", "", base.replace(str(s.port), "1")), "one@a.test")
    t.ok(e and "onnect" in e and "down.cf" in e, "N-239 no server: an error", e)
    e = p.q(cf("syntax", "", base.replace("mail=%s", "(mail=%s")), "one@a.test")
    t.ok(e and "Bad search filter" in e, "a wrong filter is an error", e)
    legacy = Postmap("ldapsource_server_host = 127.0.0.1:%d\nldapsource_search_base = dc=test\nldapsource_query_filter = mail=%%s\nldapsource_bind = no\n" % s.port)
    t.eq(legacy.q("ldap:ldapsource", "one@a.test"), "first", "settings in main.cf")
    legacy.done()
    out, err = p.many(a, ["one@a.test"] * 50 + ["none"])
    t.eq(out.count("first"), 50, "many keys over one connection")

    p.as_postfix(t, ["ldap:%s/%s.cf" % (p.dir, n) for n in ("a", "base", "scope", "fmt", "filter", "dom", "lim", "g", "rec", "bind", "tls")], ["one@a.test", "ONE@a.test", "two@a.test", "none", "*", "st*r@a.test", "g@a.test", "m1@a.test", "tg@a.test", "@a.test", "one", "in@a.test", "in@none.test", "known@relay.test"])

    x = Proxy(s.port)
    relay = p.write("relay.cf", base.replace(str(s.port), str(x.port)))
    relay_checks(t, "ldap:" + relay, x, s)
finally:
    s.stop()
    p.done()
sys.exit(t.done())
