#!/usr/bin/env python3
"""mysql tables against MariaDB."""
import os
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from backends import Postmap, Proxy, Server, Tap, find, relay_checks, wait_for

install, daemon = find("mariadb-install-db"), find("mariadbd")
client = find("mariadb")
t = Tap()
s = Server("mysql")
p = Postmap()
try:
    s.run(install, "--no-defaults", "--datadir=" + s.dir + "/db", "--skip-test-db", "--auth-root-authentication-method=normal")
    s.run("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=other.test", "-keyout", "key.pem", "-out", "cert.pem")
    s.start(daemon, "--no-defaults", "--datadir=" + s.dir + "/db", "--port=%d" % s.port, "--bind-address=127.0.0.1", "--socket=" + s.dir + "/sock",
            "--pid-file=" + s.dir + "/pid", "--innodb-flush-log-at-trx-commit=0", "--innodb-buffer-pool-size=8M", "--ssl-cert=" + s.dir + "/cert.pem",
            "--ssl-key=" + s.dir + "/key.pem")
    s.wait_port()
    sql = """create database m charset utf8mb4; use m;
        create table a(k varchar(200) charset utf8mb4, v varchar(200), w varchar(200), key(k)); create table r(k varchar(200), key(k));
        insert into a values ('one@a.test','first',null),('two@a.test','x@b.test','y@c.test'),('two@a.test','z',''),('o''brien@a.test','quoted',null),
            ('back\\\\slash@a.test','back',null),('empty@a.test','',null);
        insert into r values ('known@relay.test');
        create procedure p(x varchar(200)) select v from a where k = x order by v limit 1;
        create procedure nothing(x varchar(200)) set @y = x;
        create procedure twice(x varchar(200)) begin select 1; select 2; end;
        """
    subprocess.run([client, "--no-defaults", "-uroot", "-S", s.dir + "/sock"], input=sql.replace("create procedure twice", "delimiter //\ncreate procedure twice").replace("end;", "end//\ndelimiter ;\n") +
                   "create user mail@'127.0.0.1' identified by 'pw'; create user mail@localhost identified by 'pw'; grant all on m.* to mail@'127.0.0.1'; grant all on m.* to mail@localhost;",
                   text=True, check=True, timeout=60)
    auth = "user = mail\npassword = pw\ndbname = m\noption_group =\n"
    base = "hosts = 127.0.0.1:%d\n" % s.port + auth

    def cf(name, text):
        return "mysql:" + p.write(name + ".cf", text if "hosts" in text else base + text)

    q = "query = SELECT v, w FROM a WHERE k = '%s'\n"
    a = cf("a", q)
    t.eq(p.q(a, "one@a.test"), "first", "found")
    t.eq(p.q(a, "none@a.test"), None, "not found")
    t.eq(p.q(a, "two@a.test"), "x@b.test,y@c.test,z", "rows and columns are joined")
    t.eq(p.q(a, "empty@a.test"), None, "an empty value is none")
    t.eq(p.q(a, "o'brien@a.test"), "quoted", "N-235 a quote in the key")
    t.eq(p.q(a, "back\\slash@a.test"), "back", "N-235 a backslash in the key")
    for key in ("'", "' OR '1'='1", "'; DROP TABLE a;--", "\\'; DROP TABLE a;--", '"', "\\", "%s", "\xbf'"):
        t.eq(p.q(a, key), None, "N-235 key %r finds nothing" % key)
    t.eq(p.q(a, "x" * 60000 + "@a.test"), None, "N-235 a key of 60 KB")
    t.eq(p.q(cf("gbk", q + "charset = gbk\n"), "\xbf' OR 1=1 -- "), None, "N-235 quoting follows the connection's character set")
    t.eq(p.q(a, "one@a.test"), "first", "the table is still there")
    t.eq(p.q(cf("fmt", q + "result_format = <%u:%d:%S:%1>\n"), "two@a.test"), "<x:b.test:two@a.test:test>,<y:c.test:two@a.test:test>", "result_format")
    d = cf("dom", q + "domain = a.test\n")
    t.eq([p.q(d, k) for k in ("one@a.test", "one@b.test", "one", "@a.test")], ["first", None, None, None], "domain")
    e = p.q(cf("lim", q + "expansion_limit = 1\n"), "two@a.test")
    t.ok(e and "Expansion limit exceeded for key 'two@a.test'" in e, "expansion_limit", e)
    t.eq(p.q(cf("old", "select_field = v\ntable = a\nwhere_field = k\nadditional_conditions = AND v <> 'z'\n"), "two@a.test"), "x@b.test", "the old settings")
    t.eq(p.q(cf("call", "query = CALL p('%s')\n"), "one@a.test"), "first", "a stored procedure")
    e = p.q(cf("nothing", "query = CALL nothing('%s')\n"), "one@a.test")
    t.ok(e and "no result set" in e, "a procedure without result set is an error", e)
    t.eq(p.q(cf("nothing2", "query = CALL nothing('%s')\nrequire_result_set = no\n"), "one@a.test"), None, "... or, when so configured, nothing")
    e = p.q(cf("twice", "query = CALL twice('%s')\n"), "one@a.test")
    t.ok(e and "multiple result sets" in e, "a procedure with two result sets is an error", e)
    t.eq(p.q(cf("unix", "hosts = unix:%s/sock\n" % s.dir + auth + q), "one@a.test"), "first", "over a socket")
    t.eq(p.q(cf("two", "hosts = inet:127.0.0.1:1 127.0.0.1:%d\n" % s.port + auth + q), "one@a.test"), "first", "the second of two hosts")
    e = p.q(cf("bad", "query = SELEKT '%s'\n"), "one@a.test")
    t.ok(e and "mysql query failed" in e and "bad.cf" in e, "a wrong query is an error", e)
    e = p.q(cf("down", "hosts = 127.0.0.1:1\n" + auth + q), "one@a.test")
    t.ok(e and "onnect" in e and "down.cf" in e, "N-239 no server: an error", e)
    e = p.q(cf("pw", base.replace("= pw", "= wrong") + q), "one@a.test")
    t.ok(e and "Access denied" in e and "wrong" not in e, "a wrong password is an error, and is not shown", e)
    tls = "tls_CAfile = %s/cert.pem\n" % s.dir
    t.eq(p.q(cf("tls", q + tls), "one@a.test"), "first", "TLS")
    e = p.q(cf("verify", q + tls + "tls_verify_cert = yes\n"), "one@a.test")
    t.ok(e and e.startswith("ERROR"), "N-240 tls_verify_cert: a certificate of another name is refused", e)
    legacy = Postmap("src_hosts = 127.0.0.1:%d\nsrc_user = mail\nsrc_password = pw\nsrc_dbname = m\nsrc_query = SELECT v FROM a WHERE k = '%%s'\n" % s.port)
    t.eq(legacy.q("mysql:src", "one@a.test"), "first", "settings in main.cf")
    legacy.done()
    out, err = p.many(a, ["one@a.test"] * 50 + ["none"])
    t.eq(out.count("first"), 50, "many keys over one connection")

    p.as_postfix(t, ["mysql:%s/%s.cf" % (p.dir, n) for n in ("a", "fmt", "dom", "lim", "old", "call", "unix")], ["one@a.test", "ONE@a.test", "two@a.test", "none", "o'brien@a.test", "empty@a.test", "null@a.test", "@a.test", "one", "one@", "back\\slash@a.test"])

    x = Proxy(s.port)
    relay = p.write("relay.cf", "hosts = 127.0.0.1:%d\n" % x.port + auth + "query = SELECT k FROM r WHERE k = '%s'\n")
    relay_checks(t, "mysql:" + relay, x, s)
finally:
    s.stop()
    p.done()
sys.exit(t.done())
