#!/usr/bin/env python3
"""Tables that are dead, damaged or hostile: never "no such user", never OK; changed files are picked up.  Area 19 of the negative catalogue."""
import json
import os
import socket
import sqlite3
import subprocess
import sys
import threading

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from instance import INST, Client, Instance, Tap, wait_for

t = Tap()


class Conf(Instance):
    """A configuration without a running system."""

    def posthouse(self, *args):
        return subprocess.run([INST + "/sbin/posthouse", *args], env=self.env, capture_output=True, text=True, timeout=60)

    def verdict(self, extra, rcpt="known@relay.test", sender="s@x.test"):
        self.write("main.cf", BASE + extra)
        r = self.posthouse("explain", "-c", self.etc, "--json", "--client", "192.0.2.9", "--name", "unknown", sender, rcpt)
        try:
            steps = json.loads(r.stdout)["steps"]
        except ValueError:
            return "?", r.stderr
        return [s["answer"] for s in steps if s["step"] == "verdict"][-1], r.stderr


BASE = open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib", "instance.py")).read().split('MAIN_CF = """')[1].split('"""')[0]
i = Conf()
BASE = i.sub(BASE)
etc = i.etc


def write(name, text):
    i.write(name, text)
    return etc + "/" + name


# ---- dead back ends, one per kind of table ----
sql = "query = SELECT 1\nuser = x\ndbname = x\n"
dead = {
    "pgsql": "pgsql:" + write("pg.cf", "hosts = 127.0.0.1:1\n" + sql),
    "mysql": "mysql:" + write("my.cf", "hosts = 127.0.0.1:1\noption_group =\n" + sql),
    "ldap": "ldap:" + write("ldap.cf", "server_host = ldap://127.0.0.1:1\nsearch_base = dc=x\nbind = no\n"),
    "memcache": "memcache:" + write("mc.cf", "memcache = inet:127.0.0.1:1\n"),
    "redis": "redis:" + write("redis.cf", "host = 127.0.0.1:1\n"),
    "mongodb": "mongodb:" + write("mongo.cf", "uri = mongodb://127.0.0.1:1/?serverSelectionTimeoutMS=300\ndbname = x\ncollection = y\nquery_filter = {\"k\": \"%s\"}\nresult_attribute = v\n"),
    "sqlite": "sqlite:" + write("sq.cf", "dbpath = %s/no-such-db\nquery = SELECT 1\n" % etc),
    "tcp": "tcp:127.0.0.1:1",
    "socketmap": "socketmap:inet:127.0.0.1:1:m",
    "socketmap unix": "socketmap:unix:%s/no-socket:m" % etc,
    "settings file missing": "pgsql:%s/none.cf" % etc,
    "fail": "fail:x",
    "unionmap": "unionmap:{static:x, fail:y}",
    "pipemap": "pipemap:{inline:{known@relay.test=a}, fail:y}",
    "proxy, not approved": "proxy:texthash:%s/none" % etc,
    "no such type": "nosuchtype:x",
}
for kind in ("hash", "btree", "lmdb", "cdb", "texthash", "regexp", "pcre", "cidr"):
    dead[kind] = "%s:%s/none-%s" % (kind, etc, kind)
for kind, table in sorted(dead.items()):
    said, err = i.verdict("relay_domains = relay.test\nrelay_recipient_maps = %s\n" % table)
    name = table if not table.startswith("proxy:") else table[6:]
    t.ok(said.startswith("451 4.3") and name.split(":")[-1] in err, "N-239 %s as relay_recipient_maps: 451, and the log names the table" % kind, said + "\n" + err)
    said, err = i.verdict("relay_domains = relay.test\nsmtpd_recipient_restrictions = check_recipient_access %s, permit\n" % table)
    t.ok(said.startswith("451 4.3"), "N-239 %s as an access table: 451" % kind, said + "\n" + err)

for table in (dead["tcp"], dead["pgsql"], dead["hash"]):
    for use in ("virtual_alias_maps = %s", "transport_maps = %s", "virtual_mailbox_domains = %s", "mynetworks = %s", "canonical_maps = %s", "relocated_maps = %s",
                "virtual_mailbox_domains = relay.test\nrelay_domains =\nvirtual_mailbox_maps = %s", "mydestination = %s"):
        said, err = i.verdict("relay_domains = relay.test\n" + use % table + "\n")
        t.ok(said[:3] in ("451", "450") and "User unknown" not in said, "N-239 %s: 4xx" % (use % table.split(":")[0]).replace("\n", ", "), said + "\n" + err)

# ---- answers that must not get through ----


def netstring(b):
    return b"%d:%s," % (len(b), b)


EVIL = {"empty": b"", "crlf": b"a@x.test\r\nRCPT TO:<b@x.test>", "lf": b"a\nb", "nul": b"a\0b", "latin1": b"caf\xe9@x.test", "big": b"x" * 1000000}


def serve(handler):
    s = socket.socket()
    s.bind(("127.0.0.1", 0))
    s.listen(50)

    def loop():
        while True:
            c, _ = s.accept()
            threading.Thread(target=handler, args=(c,), daemon=True).start()
    threading.Thread(target=loop, daemon=True).start()
    return s.getsockname()[1]


def sockmap(c):
    f = c.makefile("rwb")
    try:
        while True:
            n = b""
            while (ch := f.read(1)) not in (b":", b""):
                n += ch
            if not n:
                return
            key = f.read(int(n)).split(b" ", 1)[1]
            f.read(1)
            name = key.split(b"@")[0].decode("latin-1")
            f.write(netstring(b"OK " + EVIL[name]) if name in EVIL else netstring(b"NOTFOUND "))
            f.flush()
    except OSError:
        pass


def tcp(c):
    f = c.makefile("rwb")
    try:
        for line in f:
            name = line.decode("latin-1").split(" ", 1)[1].split("@")[0].strip()
            if name in EVIL:
                f.write(b"200 " + b"".join(b"%%%02x" % b for b in EVIL[name]) + b"\n" if name != "big" else b"200 " + EVIL[name] + b"\n")
            else:
                f.write(b"500 no\n")
            f.flush()
    except OSError:
        pass


db = sqlite3.connect(etc + "/evil.db")
db.execute("create table t(k, v)")
for k, v in EVIL.items():
    db.execute("insert into t values(?, cast(? as text))", (k + "@relay.test", v))
db.commit()
db.close()
tables = {"socketmap": "socketmap:inet:127.0.0.1:%d:m" % serve(sockmap), "tcp": "tcp:127.0.0.1:%d" % serve(tcp),
          "sqlite": "sqlite:" + write("evil.cf", "dbpath = %s/evil.db\nquery = SELECT v FROM t WHERE k='%%s'\n" % etc)}
for kind, table in tables.items():
    for key in EVIL:
        said, err = i.verdict("relay_domains = relay.test\nsmtputf8_enable = yes\nrelay_recipient_maps = inline:{%s@relay.test=x}\nvirtual_alias_maps = %s\n" % (key, table),
                              rcpt=key + "@relay.test")
        fine = said.startswith("451 4.")
        if kind == "sqlite" and key == "empty":
            fine = said == "accepted"       # an empty value is none, as Postfix's SQL tables have it
        t.ok(fine, "N-241 %s answers with %s: nothing of it is used" % (kind, key), said + "\n" + err[-400:])
said, err = i.verdict("relay_domains = relay.test\nvirtual_alias_maps = regexp:{{/^(x?)known@/ $$1}}\n")
t.ok(said.startswith("451 4."), "N-241 regexp answers with an empty string: 451", said + err)

# ---- SQL text between double quotes ----
r = i.posthouse("postmap", "-c", etc, "-q", "a", "sqlite:" + write("dq.cf", "dbpath = %s/evil.db\nquery = SELECT v FROM t WHERE k=\"%%s\"\n" % etc))
t.ok("double quotes" in r.stderr, "N-236 sqlite: a query with double quotes around %s is warned about", r)
for key in ("'", "' OR '1'='1", "x' UNION SELECT 'y", "'; DROP TABLE t; --", "\\", '"', "a" * 100000):
    r = i.posthouse("postmap", "-c", etc, "-q", key, tables["sqlite"])
    t.ok(r.returncode == 1 and not r.stdout and "error" not in r.stderr, "N-235 sqlite: key %.20r finds nothing" % key, r)

# ---- damaged files ----
src = write("src", "known@relay.test x\nother@relay.test y\n")
for kind, suffix in (("hash", ".db"), ("btree", ".db"), ("lmdb", ".lmdb"), ("cdb", ".cdb")):
    made = i.posthouse("postmap", "-c", etc, "%s:%s" % (kind, src))
    if made.returncode and "unsupported" in made.stderr:
        continue
    good = open(src + suffix, "rb").read()
    table = "relay_domains = relay.test\nrelay_recipient_maps = %s:%s\n" % (kind, src)
    t.eq(i.verdict(table)[0], "accepted", "N-244 %s: whole" % kind)
    for what, data in (("empty", b""), ("cut", good[:len(good) // 2]), ("cut at the start", good[:100]), ("noise", b"\xff\x13\x07" * 5000)):
        open(src + suffix, "wb").write(data)
        said, err = i.verdict(table)
        fine = said.startswith("451 4.") or (what == "cut" and said == "accepted")
        t.ok(fine, "N-244 %s: %s: 451" % (kind, what), said + err)
    os.unlink(src + suffix)

# ---- nesting, devices, pipes ----
os.mkfifo(etc + "/fifo")
deep = "inline:{known@relay.test=x}"
for _ in range(40):
    deep = "unionmap:{%s}" % deep
for what, table in (("a pipe", "texthash:%s/fifo" % etc), ("a device", "texthash:/dev/zero"), ("a folder", "texthash:" + etc), ("regexp of a pipe", "regexp:%s/fifo" % etc),
                    ("nested 40 deep", deep), ("10000 in a row", "pipemap:{%s}" % ",".join(["static:x"] * 10000)), ("inline, empty key", "inline:{=x}"),
                    ("inline, nothing", "inline:{}")):
    said, err = i.verdict("relay_domains = relay.test\nrelay_recipient_maps = %s\n" % table)
    t.ok(said.startswith("451 4.3"), "N-247 %s: an error, at once" % what, said + err[:300])
t.eq(i.verdict("relay_domains = relay.test\nrelay_recipient_maps = inline:{known@relay.test=a known@relay.test=b}\n")[0], "accepted", "N-247 inline: a key twice")

# ---- who owns what postmap makes ----
if os.geteuid() == 0:
    import pwd
    who = pwd.getpwnam("daemon")
    os.mkdir(etc + "/theirs")
    os.chown(etc + "/theirs", who.pw_uid, who.pw_gid)
    open(etc + "/theirs/m", "w").write("a b\n")
    os.chown(etc + "/theirs/m", who.pw_uid, who.pw_gid)
    r = i.posthouse("postmap", "-c", etc, "hash:%s/theirs/m" % etc)
    t.eq((r.returncode, os.stat(etc + "/theirs/m.db").st_uid), (0, who.pw_uid), "N-248 postmap run by root writes with the rights of the source's owner")
    os.chmod(etc + "/theirs", 0o755)
    os.chown(etc + "/theirs", 0, 0)
    os.unlink(etc + "/theirs/m.db")
    os.symlink("/etc/passwd", etc + "/theirs/m.db")
    before = open("/etc/passwd", "rb").read()
    i.posthouse("postmap", "-c", etc, "hash:%s/theirs/m" % etc)
    t.ok(open("/etc/passwd", "rb").read() == before, "N-248 ... and through no link")

# ---- partial keys ----
said, err = i.verdict("relay_domains = relay.test\nrelay_recipient_maps = regexp:{{/^@relay/ x} {/^known$$/ x} {/^relay\\.test$$/ x}}\n")
t.ok(said.startswith("550 5.1.1"), "N-249 pattern tables are asked for whole addresses only", said)
said, err = i.verdict("relay_domains = relay.test\nrelay_recipient_maps = inline:{@relay.test=x}\n")
t.eq(said, "accepted", "N-249 ... indexed ones for parts, too")
for rcpt in ("@", ".", "@relay.test"):
    r = i.posthouse("postmap", "-c", etc, "-q", rcpt, "inline:{a=b}")
    t.eq((r.returncode, r.stdout), (1, ""), "N-249 key %r finds nothing" % rcpt)
i.stop()

# ---- "proxy:" wherever a table may stand ----
PROXY = """
proxy_read_maps = $relay_domains $virtual_alias_maps $canonical_maps $transport_maps $relay_recipient_maps
    proxy:texthash:@ETC@/acc
relay_domains = proxy:texthash:@ETC@/rd
relay_recipient_maps = proxy:texthash:@ETC@/rr
virtual_alias_domains = va.test
virtual_alias_maps = proxy:texthash:@ETC@/va
canonical_maps = proxy:texthash:@ETC@/can
transport_maps = proxy:texthash:@ETC@/tr
smtpd_recipient_restrictions = check_sender_access proxy:texthash:@ETC@/acc, check_sender_access proxy:texthash:@ETC@/rd, permit
"""
FILES = {"acc": "bad@x.test REJECT x\n", "va": "one@va.test a@rel.test\n", "rd": "rel.test x\n", "rr": "a@rel.test x\n", "can": "old@x.test new@x.test\n",
         "tr": "rel.test discard:\n"}
with Instance(PROXY, files=FILES) as j:
    for sender, rcpt, want in (("bad@x.test", "a@rel.test", "554 5.7.1"), ("x@x.test", "a@rel.test", "250"), ("x@x.test", "b@rel.test", "550 5.1.1"),
                               ("x@x.test", "one@va.test", "250"), ("x@x.test", "two@va.test", "550 5.1.1")):
        c = Client(j.port)
        c.cmd("EHLO x.test")
        c.cmd("MAIL FROM:<%s>" % sender)
        r = c.cmd("RCPT TO:<%s>" % rcpt)
        c.s.close()
        t.ok(r.startswith(want), "N-246 proxy: %s to %s" % (sender, rcpt), r)
    c = Client(j.port)
    t.ok(c.send("old@x.test", ["one@va.test"], "Subject: x\n\nhi\n").startswith("250"), "proxy: a message")
    j.wait_log("removed")
    t.ok(j.logged("from=<new@x.test>", "to=<a@rel.test>, orig_to=<one@va.test>, relay=none"), "proxy: rewritten, expanded and routed", j.log()[-1500:])

# ---- changed files, in a running system ----
files = {"th": "a@relay.test x\n", "re": "/^a@relay\\.test$/ x\n", "box.cf": "dbpath = @ETC@/box.db\nquery = SELECT 'x' WHERE '%s' = 'a@relay.test'\n", "ha": "a@relay.test x\n"}
with_hash = os.path.exists(INST + "/lib/posthouse/lookup_hash.so")
for kind, table, name in (("texthash", "texthash:@ETC@/th", "th"), ("regexp", "regexp:@ETC@/re", "re"), ("hash", "hash:@ETC@/ha", "ha"), ("sqlite", "sqlite:@ETC@/box.cf", "box.cf")):
    j = Instance("relay_domains = relay.test\nrelay_recipient_maps = %s\nsmtpd_hard_error_limit = 1000\n" % table, files=files)
    sqlite3.connect(j.etc + "/box.db").close()
    open(j.etc + "/box.db", "a").close()
    if kind == "hash":
        j.command("postmap", "hash:%s/ha" % j.etc)
    with j:
        def rcpt(address):
            c = Client(j.port)
            c.cmd("EHLO x.test")
            c.cmd("MAIL FROM:<s@x.test>")
            r = c.cmd("RCPT TO:<%s>" % address)
            c.s.close()
            return r
        t.ok(rcpt("a@relay.test").startswith("250") and rcpt("b@relay.test").startswith("550"), "%s: before the change" % kind, j.log()[-800:])
        text = open(j.etc + "/" + name).read().replace("a@relay", "b@relay")
        open(j.etc + "/new", "w").write(text)
        os.rename(j.etc + "/new", j.etc + "/" + name)
        if kind == "hash":
            j.command("postmap", "hash:%s/ha" % j.etc)
        try:
            wait_for("the change", lambda: all(rcpt("b@relay.test").startswith("250") and rcpt("a@relay.test").startswith("550") for _ in range(4)), 15, 0.2)
            ok = True
        except TimeoutError:
            ok = False
        t.ok(ok, "N-244 %s: a changed file is picked up without a restart" % kind, j.log()[-1500:])
sys.exit(t.done())
