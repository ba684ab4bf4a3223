#!/usr/bin/env python3
"""pgsql tables against PostgreSQL."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from backends import Postmap, Proxy, Server, Tap, find, relay_checks

initdb, postgres = find("initdb"), find("postgres")
psql = find("psql")
t = Tap()
s = Server("postgres")
p = Postmap()
try:
    s.run(initdb, "-D", "db", "-A", "trust", "-U", "mail", "--no-sync", "--no-instructions", "-E", "UTF8", "--locale=C")
    s.start(postgres, "-D", "db", "-p", str(s.port), "-h", "127.0.0.1", "-k", s.dir, "-F", "-c", "max_connections=60")
    s.wait_port()
    sql = """create table a(k text, v text, w text); create table r(k text);
        insert into a values ('one@a.test','first',null),('two@a.test','x@b.test','y@c.test'),('two@a.test','z',''),('o''brien@a.test','quoted',null),
            ('back\\slash@a.test','back',null),('empty@a.test','',null),('null@a.test',null,null),('dollar$$@a.test','d',null);
        insert into r values ('known@relay.test');
        create function f(text) returns setof text as 'select v from a where k = $1' language sql;
        create function slow(text) returns text as 'select $1 from pg_sleep(2)' language sql;"""
    s.run(psql, "-h", "127.0.0.1", "-p", str(s.port), "-U", "mail", "-q", "-v", "ON_ERROR_STOP=1", "postgres", input=sql)
    base = "hosts = 127.0.0.1:%d\nuser = mail\npassword = x\ndbname = postgres\n" % s.port

    def cf(name, text):
        return "pgsql:" + p.write(name + ".cf", text if "hosts" in text else base + text)

    q = "query = SELECT v, w FROM a WHERE k = '%s'\n"
    a = cf("a", q)
    t.eq(p.q(a, "one@a.test"), "first", "found")
    t.eq(p.q(a, "ONE@A.TEST"), "first", "keys are folded")
    t.eq(p.q(a, "none@a.test"), None, "not found")
    t.eq(p.q(a, "two@a.test"), "x@b.test,y@c.test,z", "rows and columns are joined")
    t.eq([p.q(a, "empty@a.test"), p.q(a, "null@a.test")], [None, None], "empty and NULL values are none")
    # N-235: whatever stands in the key is text.
    t.eq(p.q(a, "o'brien@a.test"), "quoted", "N-235 a quote in the key")
    t.eq(p.q(a, "back\\slash@a.test"), "back", "N-235 a backslash in the key")
    for key in ("'", "''", "' OR '1'='1", "'; DROP TABLE a;--", "\\'; DROP TABLE a;--", '"', "\\", "$$", "%s", "\xbf'".encode("utf-8").decode("utf-8")):
        t.eq(p.q(a, key), None, "N-235 key %r finds nothing" % key)
    r = p.q(a, "\udcbf' OR 1=1--")
    t.ok(r is None or "non-UTF-8" in r, "N-235 half a character before a quote finds nothing", r)
    t.eq(p.q(a, "x" * 60000 + "@a.test"), None, "N-235 a key of 60 KB")
    t.eq(p.q(a, "one@a.test"), "first", "the table is still there")

    t.eq(p.q(cf("fmt", q + "result_format = <%u:%d:%S:%U:%D:%1:%2:%%>\n"), "two@a.test"),
         "<x:b.test:two@a.test:two:a.test:test:a:%>,<y:c.test:two@a.test:two:a.test:test:a:%>", "result_format; a value without domain gives none")
    t.eq(p.q(cf("fmt3", q + "result_format = %s/%3\n"), "one@a.test"), None, "result_format needs a label that the key has not got")
    t.eq(p.q(cf("u", "query = SELECT '%u' || '/' || '%d' || '/%1%%'\n"), "one@a.test"), "one/a.test/test%", "%u, %d, %1 and %% in the query")
    t.eq([p.q("pgsql:%s/u.cf" % p.dir, k) for k in ("one", "@a.test", "one@")], [None] * 3, "keys without what the query needs are not asked for")
    d = cf("dom", q + "domain = a.test, inline:{c.test=x}\n")
    t.eq([p.q(d, k) for k in ("one@a.test", "one@b.test", "one", "@a.test")], ["first", None, None, None], "domain")
    e = p.q(cf("lim", q + "expansion_limit = 2\n"), "two@a.test")
    t.ok(e and "Expansion limit exceeded for key 'two@a.test'" in e, "expansion_limit", e)
    t.eq(p.q("pgsql:%s/lim.cf" % p.dir, "one@a.test"), "first", "... not exceeded")
    t.eq(p.q(cf("fn", "select_function = f\n"), "one@a.test"), "first", "select_function")
    t.eq(p.q(cf("old", "select_field = v\ntable = a\nwhere_field = k\nadditional_conditions = AND v <> 'z'\n"), "two@a.test"), "x@b.test", "the old settings")
    t.eq(p.q(cf("uri", "hosts = postgresql://mail@127.0.0.1:%d/postgres?sslmode=disable\n" % s.port + q), "one@a.test"), "first", "a URI")
    t.eq(p.q(cf("two", "hosts = inet:127.0.0.1:1 127.0.0.1:%d\nuser = mail\ndbname = postgres\n" % s.port + q), "one@a.test"), "first", "the second of two hosts")
    e = p.q(cf("bad", "query = SELEKT '%s'\n"), "one@a.test")
    t.ok(e and "pgsql query failed" in e and "bad.cf" in e, "a wrong query is an error", e)
    e = p.q(cf("down", "hosts = 127.0.0.1:1\n" + q), "one@a.test")
    t.ok(e and "onnect" in e and "down.cf" in e, "N-239 no server: an error", e)
    e = p.q(cf("none", "user = x\n"), "x")
    t.ok(e and "neither query nor" in e, "no query is set", e)
    legacy = Postmap("src_hosts = 127.0.0.1:%d\nsrc_user = mail\nsrc_dbname = postgres\nsrc_query = SELECT v FROM a WHERE k = '%%s'\n" % s.port)
    t.eq(legacy.q("pgsql:src", "one@a.test"), "first", "settings in main.cf")
    legacy.done()
    out, err = p.many(a, ["one@a.test"] * 50 + ["none"])
    t.eq(out.count("first"), 50, "many keys over one connection")

    p.as_postfix(t, ["pgsql:%s/%s.cf" % (p.dir, n) for n in ("a", "fmt", "fmt3", "u", "dom", "lim", "fn", "old")], ["one@a.test", "ONE@a.test", "two@a.test", "none", "o'brien@a.test", "empty@a.test", "null@a.test", "@a.test", "one", "one@", "back\\slash@a.test"])

    x = Proxy(s.port)
    relay = p.write("relay.cf", "hosts = 127.0.0.1:%d\nuser = mail\ndbname = postgres\nquery = SELECT k FROM r WHERE k = '%%s'\n" % x.port)
    relay_checks(t, "pgsql:" + relay, x, s)
finally:
    s.stop()
    p.done()
sys.exit(t.done())
