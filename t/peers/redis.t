#!/usr/bin/env python3
"""redis tables against redis-server."""
import os
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from backends import Postmap, Proxy, Server, Tap, find, relay_checks

daemon, cli = find("redis-server"), find("redis-cli")
t = Tap()
s = Server()
p = Postmap()


class Filled(Server):
    """Nothing is kept on disk."""

    def restart(self):
        super().restart()
        self.wait_port()
        fill()


def redis(*words):
    subprocess.run([cli, "-p", str(s.port), "-a", "pw", "--no-auth-warning", *words], check=True, capture_output=True)


def fill():
    for k, v in (("one@a.test", "first"), ("al:two@a.test", "x@b.test"), ("known@relay.test", "x"), ("crlf@a.test", "a\r\nb"), ("empty@a.test", "")):
        redis("set", k, v)
    redis("hset", "users", "h@a.test", "of a hash")
    redis("rpush", "list@a.test", "x", "y")


try:
    s.__class__ = Filled
    s.start(daemon, "--port", str(s.port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--requirepass", "pw", "--dir", s.dir)
    s.wait_port()
    fill()
    base = "host = 127.0.0.1:%d\npassword = pw\n" % s.port

    def cf(name, text=""):
        return "redis:" + p.write(name + ".cf", text if "host" in text else base + text)

    a = cf("a")
    t.eq(p.q(a, "one@a.test"), "first", "found")
    t.eq(p.q(a, "none@a.test"), None, "not found")
    t.eq(p.q(cf("k", "key_format = al:%s\nresult_format = %u at %d for %1\n"), "two@a.test"), "x at b.test for test", "key_format, result_format")
    t.eq(p.q(cf("h", "command = hget users\n"), "h@a.test"), "of a hash", "a hash")
    for key in ("one@a.test\r\nFLUSHALL", "$5", "*1\r\n$8\r\nFLUSHALL", "'", "x" * 60000):
        t.eq(p.q(a, key), None, "N-235 a key is one argument, whatever it holds: %.20r" % key)
    t.eq(p.q(a, "one@a.test"), "first", "... and did nothing")
    e = p.q(a, "list@a.test")
    t.ok(e and "WRONGTYPE" in e, "a key of another type is an error", e)
    e = p.q(cf("pw", base.replace("= pw", "= wrongword")), "one@a.test")
    t.ok(e and "AUTH" in e and "wrongword" not in e, "a wrong password is an error, and is not shown", e)
    e = p.q(cf("down", "host = 127.0.0.1:1\n"), "one@a.test")
    t.ok(e and "down.cf" in e and "refused" in e, "N-239 no server: an error", e)

    x = Proxy(s.port)
    relay = p.write("relay.cf", "host = 127.0.0.1:%d\npassword = pw\ntimeout = 10\n" % x.port)
    relay_checks(t, "redis:" + relay, x, s)
finally:
    s.stop()
    p.done()
sys.exit(t.done())
