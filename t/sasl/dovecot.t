#!/usr/bin/env python3
"""AUTH against a scripted Dovecot auth server: good and bad words of clients, and servers that die, stall and lie."""
import base64
import os
import re
import shutil
import sys
import tempfile
import threading
import time

sys.path[:0] = [os.path.join(os.path.dirname(os.path.abspath(__file__)), p) for p in ("../smtp", "../lib")]
import dovecot_auth                                                 # noqa: E402
import runner as smtp                                               # noqa: E402

BUILD = os.environ.get("PH_BUILD", "build")
USERS = {"alice": "secret"}
PLAIN = base64.b64encode(b"\0alice\0secret").decode()
count = failed = 0


def ok(cond, name, detail=""):
    global count, failed
    count += 1
    if not cond:
        failed += 1
    print("%sok %d - %s" % ("" if cond else "not ", count, name))
    for l in str(detail).splitlines() if not cond else []:
        print("# " + l)


class Notes:
    def __init__(self):
        self.lines = []

    def note(self, text):
        self.lines.append(text)


class World:
    def __init__(self, answer=None, main=(), services=(), greeting=dovecot_auth.GREETING):
        self.dir = tempfile.mkdtemp(prefix="sasl.")
        self.auth = dovecot_auth.Auth(self.dir + "/auth", answer or dovecot_auth.login(USERS), greeting)
        t = smtp.Test("sasl")
        t.main = [("smtpd_sasl_auth_enable", "yes"), ("smtpd_sasl_type", "dovecot"), ("smtpd_sasl_path", self.dir + "/auth")] + list(main)
        t.services = list(services)
        self.router = smtp.Router(t, BUILD)
        self.notes, self.clients = Notes(), []

    def client(self, service="smtp"):
        c = smtp.Client(self.notes, self.router.ports[service], "127.0.0.2", False)
        self.clients.append(c)
        c.reply()
        self.say(c, "EHLO x")
        return c

    def say(self, c, line):
        c.send(line.encode("latin-1") + b"\r\n")
        return c.reply()

    def log(self, pattern, limit=5):
        end = time.time() + limit
        while time.time() < end:
            if re.search(pattern, self.router.log_lines(), re.M):
                return True
            time.sleep(0.02)
        return False

    def end(self):
        for c in self.clients:
            c.close()
        self.auth.stop()
        text = self.router.stop()
        shutil.rmtree(self.dir)
        ok(not text, "the server ends cleanly", text)


def words_of_clients():
    w = World(main=[("smtpd_hard_error_limit", "1000"), ("smtpd_soft_error_limit", "1000")])
    c = w.client()
    for text in ("!!!!", "AAA", "AAAA=", "AA=A", "A B=", "AB==", "=" * 4, "A" * 4 + "="):
        r = w.say(c, "AUTH PLAIN " + text)
        ok(r.startswith(("535 5.7.8", "501 5.5.4")), "N-113 bad base64 in the initial response: %s" % text, r)
        w.say(c, "AUTH LOGIN")
        r = w.say(c, text)
        ok(r.startswith("535 5.7.8"), "N-113 and in a later one: %s" % text, r)
    w.say(c, "AUTH PLAIN")
    r = w.say(c, "*")
    ok(r == "501 5.7.0 Authentication aborted", "N-113 cancelled", r)
    w.say(c, "AUTH PLAIN")
    r = w.say(c, "A" * 12300)
    ok(r == "500 5.5.6 SASL response limit exceeded", "N-113 a response that is too long", r)
    for name, blob in (("no NUL", b"alice"), ("one NUL", b"\0alice"), ("three NULs", b"\0alice\0secret\0"), ("control characters", b"\0a\x01\x1b[2J\n\0x"),
                       ("a long name", b"\0" + b"u" * 1000 + b"\0x"), ("quotes and percent", b"\0\"'%s%n\\\0x"), ("somebody else's authorization", b"root\0alice\0x")):
        r = w.say(c, "AUTH PLAIN " + base64.b64encode(blob).decode())
        ok(r.startswith("535 5.7.8 "), "N-114 PLAIN with " + name, r)
    log = w.router.log_lines()
    ok(not re.search(r"[\x00-\x08\x0b-\x1f]", log), "N-114 nothing of it can be seen in the log as it came")
    ok("u" * 101 not in log, "N-114 and names are cut")
    w.say(c, "AUTH CRAM-MD5")
    r1 = w.say(c, "*")
    r2 = w.say(c, "AUTH PLAIN " + base64.b64encode(b"\0alice\0wrong").decode())
    w.say(c, "AUTH LOGIN")
    w.say(c, base64.b64encode(b"alice").decode())
    r3 = w.say(c, base64.b64encode(b"secret").decode())
    ok(r1.startswith("501") and r2.startswith("535") and r3.startswith("235"), "N-115 an exchange knows nothing of the one before", (r1, r2, r3))
    for mech in ("NTLM", "GSSAPI", "EXTERNAL", "X" * 200):
        c2 = w.client()
        r = w.say(c2, "AUTH %s %s" % (mech, base64.b64encode(b"NTLMSSP\0\1\0\0\0" + b"\xff" * 60).decode()))
        ok(r.startswith("535 5.7.8"), "N-116 a mechanism that nobody offers: %.10s" % mech, r)
    w.end()


def secrets():
    w = World(services=["debug -v -v"])
    c = w.client("debug")
    w.say(c, "AUTH PLAIN " + base64.b64encode(b"\0alice\0hunter2hunter2").decode())
    w.say(c, "AUTH LOGIN")
    w.say(c, base64.b64encode(b"alice").decode())
    w.say(c, base64.b64encode(b"hunter2hunter2").decode())
    w.say(c, "AUTH PLAIN " + PLAIN)
    w.say(c, "QUIT")
    w.log("disconnect from")
    log = w.router.log_lines()
    bad = [s for s in ("hunter2", "secret", base64.b64encode(b"hunter2hunter2").decode(), PLAIN, base64.b64encode(b"\0alice\0hunter2hunter2").decode())
           if s in log]
    ok(not bad, "N-119 no password stands in the log, in whatever form", bad)
    w.end()


def rates():
    w = World(main=[("smtpd_client_auth_rate_limit", "5"), ("smtpd_client_event_limit_exceptions", "127.0.0.9")])
    got = []
    for _ in range(8):
        c = w.client()
        got.append(w.say(c, "AUTH PLAIN " + base64.b64encode(b"\0alice\0guess").decode())[:9])
        c.close()
    ok(got == ["535 5.7.8"] * 5 + ["450 4.7.1"] * 3, "N-117 guesses beyond the rate are not looked at", got)
    ok(len([f for f in w.auth.seen if f[0] == b"AUTH"]) == 5, "N-117 and the server is not asked")
    ok(w.log(r"SASL PLAIN authentication failed: \(reason unavailable\), sasl_username=alice"), "N-117 each failure is logged with client and name")
    ok(w.log(r"AUTH command rate limit exceeded: 6 from unknown\[127.0.0.2\] for service smtp"), "N-117 so is the limit")
    w.end()
    w = World(main=[("smtpd_hard_error_limit", "4")])
    c = w.client()
    got = [w.say(c, "AUTH PLAIN " + base64.b64encode(b"\0alice\0guess").decode())[:3] for _ in range(4)]
    ok(got == ["535"] * 4 and c.reply().startswith("421 4.7.0"), "N-117 and a session ends at the hard limit", got)
    w.end()


def liars():
    lies = {
        "a fragment, then the end": lambda i: (b"OK\t%s" % i, True), "OK without a user": lambda i: (b"OK\t%s\n" % i, False),
        "OK with an empty user": lambda i: (b"OK\t%s\tuser=\n" % i, False), "no number": lambda i: (b"OK\n", False),
        "a number that is none": lambda i: (b"OK\t1x\tuser=alice\n", False), "a line of a megabyte": lambda i: (b"OK\t%s\tuser=%s\n" % (i, b"a" * 1000000), False),
        "the end at once": lambda i: (b"", True), "a challenge that is no base64": lambda i: (b"CONT\t%s\t!!!\n" % i, False),
        "a temporary failure": lambda i: (b"FAIL\t%s\ttemp\n" % i, False), "endless chatter": lambda i: (b"SPID\t1\n" * 1000, False),
    }
    now = {}

    def answer(verb, rid, f):
        out, end = now["lie"](rid)
        if end and out:
            now["auth"].open[-1].sendall(out)
        return None if end else out

    w = World(answer)
    now["auth"] = w.auth
    for name, lie in lies.items():
        now["lie"] = lie
        c = w.client()
        r = w.say(c, "AUTH PLAIN " + PLAIN)
        ok(r.startswith("454 4.7.0 Temporary authentication failure"), "N-121 " + name, r)
        r = w.say(c, "MAIL FROM:<a@b.test>")
        ok(r.startswith("250"), "N-121 and the session goes on", r)
        c.close()
    w.auth.answer = lambda v, i, f: b"FAIL\t%d\tuser=x\treason=stale\nOK\t%d\tuser=mallory\nFAIL\t%s\tuser=alice\treason=fresh\n" % (int(i) + 7, int(i) - 1, i)
    c = w.client()
    r = w.say(c, "AUTH PLAIN " + PLAIN)
    ok(r == "535 5.7.8 Error: authentication failed: fresh", "N-121 answers to other requests are not ours", r)
    w.auth.answer = dovecot_auth.login(USERS)
    r = w.say(c, "AUTH PLAIN " + PLAIN)
    ok(r.startswith("235"), "N-121 and when it is well again, all is well", r)
    w.end()


def deaths():
    w = World()
    c = w.client()
    ok(w.say(c, "AUTH PLAIN " + base64.b64encode(b"\0alice\0no").decode()).startswith("535"), "a connection is kept")
    n = w.auth.connections
    w.auth.drop()
    r = w.say(c, "AUTH PLAIN " + PLAIN)
    ok(r.startswith("235") and w.auth.connections == n + 1, "N-121 one that the server has closed is replaced, once", r)
    c = w.client()
    w.auth.stop()
    r = w.say(c, "AUTH PLAIN " + PLAIN)
    ok(r.startswith("454 4.7.0 Temporary authentication failure"), "a server that is not there is no wrong password", r)
    ok(w.log("SASL: Connect to Dovecot auth socket '.*/auth' failed"), "and the log says which")
    r = w.say(c, "MAIL FROM:<a@b.test>")
    ok(r.startswith("250"), "mail without AUTH goes on", r)
    w.end()
    for name, greeting in (("another version", b"VERSION\t2\t0\nMECH\tPLAIN\nDONE\n"), ("no version", b"MECH\tPLAIN\nDONE\n"), ("no end", b"VERSION\t1\t1\n" + b"SPID\t1\n" * 500),
                           ("a mechanism with a line break in its name", b"VERSION\t1\t1\nMECH\tPL\x01AIN\nDONE\n")):
        w = World(greeting=greeting)
        c = smtp.Client(w.notes, w.router.ports["smtp"], "127.0.0.2", False)
        try:
            c.closed()
            said = None
        except smtp.Failed as e:
            said = str(e)
        ok(said is None and w.log("fatal: no SASL authentication mechanisms"), "N-121 a greeting with " + name, said)
        w.end()


def slow():
    def answer(verb, rid, f):
        gate.wait(8)
        return b"OK\t%s\tuser=alice\n" % rid

    gate = threading.Event()
    w = World(answer)
    waiting = [w.client() for _ in range(20)]
    for c in waiting:
        c.send(b"AUTH PLAIN " + PLAIN.encode() + b"\r\n")
    c = w.client()
    start = time.time()
    r = w.say(c, "MAIL FROM:<a@b.test>")
    ok(r.startswith("250") and time.time() - start < 2, "sessions that wait for the server do not hold up the others", r)
    gate.set()
    ok(all(x.reply().startswith("235") for x in waiting), "and all get their answer")
    w.end()


for t in (words_of_clients, secrets, rates, liars, deaths, slow):
    try:
        t()
    except smtp.Failed as e:
        ok(False, t.__name__, e)
print("1..%d" % count)
sys.exit(1 if failed else 0)
