#!/usr/bin/env python3
"""memcache tables against memcached."""
import os
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from backends import INST, Postmap, Proxy, Server, Tap, find, relay_checks

daemon = find("memcached")
t = Tap()
s = Server()
p = Postmap()


class Filled(Server):
    """memcached forgets what it held."""

    def restart(self):
        super().restart()
        self.wait_port()
        fill()


def fill():
    import socket
    c = socket.create_connection(("127.0.0.1", s.port))
    f = c.makefile("rwb")
    for k, v in (("one@a.test", b"first"), ("al:two@a.test", b"second"), ("known@relay.test", b"x"), ("long@a.test", b"x" * 2000), ("nul@a.test", b"a\0b"), ("empty@a.test", b"")):
        f.write(b"set %s 0 0 %d\r\n%s\r\n" % (k.encode(), len(v), v))
        f.flush()
        assert f.readline() == b"STORED\r\n"
    c.close()


try:
    s.__class__ = Filled
    s.start(daemon, "-u", "nobody", "-l", "127.0.0.1", "-p", str(s.port), "-U", "0", "-m", "16")
    s.wait_port()
    fill()
    base = "memcache = inet:127.0.0.1:%d\n" % s.port

    def cf(name, text=""):
        return "memcache:" + p.write(name + ".cf", text if "memcache" in text else base + text)

    a = cf("a")
    t.eq(p.q(a, "one@a.test"), "first", "found")
    t.eq(p.q(a, "none@a.test"), None, "not found")
    t.eq(p.q(cf("k", "key_format = al:%s\n"), "two@a.test"), "second", "key_format")
    t.eq(p.q(cf("d", "domain = b.test\n"), "one@a.test"), None, "domain")
    for key in ("one@a.test\r\nflush_all", "one@a.test x", "x" * 300, "a\tb"):
        t.eq(p.q(a, key), None, "N-235 a key that the protocol cannot carry is not sent: %.20r" % key)
    t.eq(p.q(a, "one@a.test"), "first", "... and did nothing")
    e = p.q(cf("lim", "data_size_limit = 1000\n"), "long@a.test")
    t.ok(e and "data_size_limit" in e, "data_size_limit", e)
    e = p.q(a, "nul@a.test")
    t.ok(e and "null byte" in e, "N-241 a value with a null byte is an error", e)
    p.write("back", "slow@a.test\tfrom the backup\n")
    b = cf("b", "backup = texthash:%s/back\n" % p.dir)
    t.eq([p.q(b, "slow@a.test"), p.q(b, "none@a.test")], ["from the backup", None], "backup")
    t.eq(p.q(a, "slow@a.test"), "from the backup", "... what it found is stored")
    t.eq(p.q(cf("bd", "memcache = inet:127.0.0.1:1\nbackup = texthash:%s/back\n" % p.dir), "slow@a.test"), "from the backup", "the backup answers while memcached is down")
    e = p.q(cf("down", "memcache = inet:127.0.0.1:1\n"), "one@a.test")
    t.ok(e and "down.cf" in e and "refused" in e, "N-239 no server: an error", e)

    def postmap(*args, input=None):
        return subprocess.run([INST + "/sbin/postmap", "-c", p.dir, *args], input=input, capture_output=True, text=True)
    r = postmap("-d", "slow@a.test", a)
    t.eq((r.returncode, p.q(a, "slow@a.test")), (0, None), "postmap -d")
    t.eq(postmap("-d", "slow@a.test", a).returncode, 1, "... of what is not there")

    r = postmap("-i", a, input="new@a.test put there\nsecond@a.test\t two  words \n")
    t.eq((r.returncode, r.stderr, p.q(a, "new@a.test"), p.q(a, "second@a.test")), (0, "", "put there", "two  words"), "postmap -i")
    t.eq((postmap("-i", a, input="new@a.test changed\n").returncode, p.q(a, "new@a.test")), (0, "changed"), "... replaces")
    p.q(a, "new@a.test")
    r = postmap("-s", a)
    t.ok(r.returncode == 1 and "sequence" in r.stderr and not r.stdout, "postmap -s: there is no list of keys", r)
    # N-232: what a key or a value holds can be no command of its own; at the limit of 250 bytes a key is stored, beyond it is refused.
    longest = "k" * 243 + "@a.test"
    t.eq((postmap("-i", a, input=longest + " at the limit\n").returncode, p.q(a, longest)), (0, "at the limit"), "N-232 a key of 250 bytes")
    for what, line in (("251 bytes", "k" * 244 + "@a.test x\n"), ("a control character", "a\x01b@a.test x\n"), ("DEL", "a\x7fb@a.test x\n")):
        r = postmap("-i", a, input=line)
        t.ok(r.returncode != 0 and "cannot be stored" in r.stderr, "N-232 a key with %s is refused" % what, r)
    t.ok("cannot be stored" in postmap("-d", "one@a.test\r\nflush_all", a).stderr, "N-232 and not deleted either")
    r = postmap("-i", a, input="trick@a.test x\rflush_all\rset one@a.test 0 0 5\revil!\n")
    t.eq((p.q(a, "one@a.test"), p.q(a, "two@a.test")), ("first", None), "N-232 a value is a value, whatever it says")
    t.eq(p.q(cf("fmt", "key_format = x %s\n"), "one@a.test"), None, "N-232 a format that makes a blank asks for nothing")
    fill()

    x = Proxy(s.port)
    relay = p.write("relay.cf", "memcache = inet:127.0.0.1:%d\ntimeout = 10\n" % x.port)
    relay_checks(t, "memcache:" + relay, x, s)
finally:
    s.stop()
    p.done()
sys.exit(t.done())
