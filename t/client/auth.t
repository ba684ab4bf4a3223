#!/usr/bin/env python3
"""The client's AUTH against servers that lie: passwords that must not go out, challenges without end, names that are not who was meant."""
import base64
import os
import socket
import sys
import threading

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from instance import Client, Instance, Tap, wait_for

t = Tap()
SECRETS = ("geheim", base64.b64encode(b"\0user\0geheim").decode(), base64.b64encode(b"geheim").decode())


class Fake:
    """An SMTP server: mechs in EHLO, answers to what follows AUTH from a function of (round, line)."""

    def __init__(self, mechs, answer):
        self.mechs, self.answer, self.lines, self.sessions = mechs, answer, [], 0
        self.s = socket.create_server(("127.0.0.1", 0))
        self.port = self.s.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            c, _ = self.s.accept()
            self.sessions += 1
            threading.Thread(target=self.serve, args=(c,), daemon=True).start()

    def serve(self, c):
        f = c.makefile("rb")
        auth = None
        try:
            c.sendall(b"220 fake ESMTP\r\n")
            for raw in f:
                line = raw.decode("latin-1").rstrip("\r\n")
                self.lines.append(line)
                verb = line[:4].upper()
                if auth is None and verb == "EHLO":
                    c.sendall(b"250-fake\r\n250 AUTH %s\r\n" % self.mechs.encode())
                elif verb == "AUTH" or auth is not None:
                    auth = 0 if auth is None else auth + 1
                    reply = self.answer(auth, line)
                    c.sendall(reply)
                    if not reply.startswith(b"334"):
                        auth = None
                elif verb == "DATA":
                    c.sendall(b"354 go\r\n")
                    while f.readline() not in (b".\r\n", b""):
                        pass
                    c.sendall(b"250 2.0.0 done\r\n")
                elif verb == "QUIT":
                    c.sendall(b"221 bye\r\n")
                    return
                else:
                    c.sendall(b"250 2.0.0 fine\r\n")
        except OSError:
            pass
        finally:
            c.close()

    def heard(self, text):
        return any(text in l for l in self.lines)


def good(n, line):
    return b"334 \r\n" if n == 0 and " " not in line[5:] and "PLAIN" in line else b"235 2.7.0 ok\r\n"


servers = {
    "noplain": Fake("PLAIN LOGIN", good),
    "huge": Fake("CRAM-MD5", lambda n, l: b"334 " + b"QUJD" * 16384 + b"\r\n" if n == 0 else b"535 5.7.8 no\r\n"),
    "endless": Fake("CRAM-MD5", lambda n, l: b"334 " + base64.b64encode(b"<%d@fake>" % n) + b"\r\n"),
    "nobase64": Fake("CRAM-MD5", lambda n, l: b"334 !!!???\r\n" if n == 0 else b"501 5.7.0 cancelled\r\n"),
    "newmech": Fake("CRAM-MD5", lambda n, l: b"334 " + base64.b64encode(b"250 AUTH PLAIN") + b"\r\n" if n == 0 else b"334-AUTH PLAIN\r\n334 AUTH PLAIN\r\n"),
    "unnamed": Fake("PLAIN", good),
    "named": Fake("PLAIN", good),
}
TRANSPORTS = "".join("{%s.test = smtp:[127.0.0.1]:%d} " % (k, v.port) for k, v in servers.items())
PASSWORDS = "".join("{[127.0.0.1]:%d = user:geheim} " % v.port for k, v in servers.items() if k not in ("unnamed", "named"))
MAIN = """
transport_maps = inline:{%s {plain.named.test = plainly:[127.0.0.1]:%d} {secure.test = secure:[127.0.0.1]:%d} {encrypt.test = encrypt:[127.0.0.1]:%d}}
smtp_sasl_auth_enable = yes
smtp_sasl_password_maps = inline:{%s {named.test = other:wort}}
smtp_helo_timeout = 5s
smtp_tls_loglevel = 1
""" % (TRANSPORTS, servers["named"].port, servers["named"].port, servers["named"].port, PASSWORDS)
MASTER = """
plainly unix - - n - - smtp
  -o smtp_sasl_security_options=noanonymous
  -o smtp_sasl_password_maps=inline:{{[127.0.0.1]:%d=user:geheim}}
secure unix - - n - - smtp
  -o smtp_tls_security_level=secure
  -o smtp_sasl_security_options=noanonymous
  -o smtp_sasl_password_maps=inline:{{[127.0.0.1]:%d=user:geheim}}
encrypt unix - - n - - smtp
  -o smtp_tls_security_level=encrypt
  -o smtp_sasl_security_options=noanonymous
  -o smtp_sasl_password_maps=inline:{{[127.0.0.1]:%d=user:geheim}}
""" % (servers["named"].port, servers["named"].port, servers["named"].port)


with Instance(MAIN, MASTER) as i:
    def send(domain, header=""):
        """The line that says what became of a message to x@domain."""
        c = Client(i.port)
        r = c.send("s@test.example", ["x@" + domain], "Subject: x\n" + header + "\nbody\n")
        c.quit()
        qid = r.split()[-1]
        return wait_for("result of " + domain, lambda: [l for l in i.log().split("\n") if qid in l and "status=" in l], 40)[0]

    l = send("noplain.test")
    t.ok("status=deferred" in l and "dsn=4.7.0" in l and "no mechanism available" in l, "N-122 plaintext mechanisms only, and noplaintext: mail waits", l)
    for name, why in (("huge", "a challenge of 64 KiB"), ("endless", "challenges without end"), ("nobase64", "a challenge that is no base64"), ("newmech", "other mechanisms in the challenge")):
        l = send(name + ".test")
        t.ok("status=deferred" in l and "SASL authentication failed" in l, "N-122 %s: mail waits" % why, l)
        t.ok(len(servers[name].lines) < 12, "N-122 %s: it is over after a few lines" % why, servers[name].lines[:20])
    t.ok(not any(s.heard(x) for k, s in servers.items() if k != "named" for x in SECRETS), "N-122 no password has gone out", [s.lines for s in servers.values()])

    # N-123: credentials belong to the next hop that was configured, not to what a server calls itself.
    l = send("unnamed.test")
    t.ok("status=sent" in l and not servers["unnamed"].heard("AUTH"), "N-123 a server without an entry is not told of others' passwords", (l, servers["unnamed"].lines))
    l = send("plain.named.test")
    t.ok("status=sent" in l and servers["named"].heard("AUTH PLAIN " + SECRETS[1]), "the entry of the next hop is used (so the tests above can fail)", (l, servers["named"].lines))
    before = len(servers["named"].lines)
    l = send("secure.test")
    t.ok("status=deferred" in l and not any("AUTH" in x for x in servers["named"].lines[before:]), "N-123 level secure: nothing to a server that has not shown who it is", (l, servers["named"].lines[before:]))
    before = len(servers["named"].lines)
    l = send("encrypt.test", "TLS-Required: no\n")
    t.ok("dsn=4.7.4" in l and not any("AUTH" in x for x in servers["named"].lines[before:]), "N-123 TLS-Required: no does not send a login in clear", (l, servers["named"].lines[before:]))
    t.ok(not any(x in i.log() for x in SECRETS), "N-119 no password in the log")
sys.exit(t.done())
