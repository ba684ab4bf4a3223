#!/usr/bin/env python3
"""Limits of clients counted by two routers in one redis-server: together, atomically, with an end; server down, slow, lying."""
import os
import re
import socket
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from backends import Proxy, Server, find
from instance import Client, Instance, Tap, wait_for

daemon, cli = find("redis-server"), find("redis-cli")
t = Tap()
s = Server()

MAIN = """
smtpd_client_event_limit_exceptions =
smtpd_client_message_rate_limit = %(messages)d
smtpd_client_connection_count_limit = %(connections)d
smtpd_client_counter_store = redis:@ETC@/counters.cf
smtpd_client_counter_failure = %(failure)s
smtpd_client_counter_scope = mx
"""
CF = "host = 127.0.0.1:%d\npassword = pw\nkey_prefix = p\nlease = 2s\ntimeout = 1s\n"


def router(port, messages=3, connections=0, failure="open", more=""):
    return Instance(MAIN % locals() + more, files={"counters.cf": CF % port}).start()


def redis(*words):
    return subprocess.run([cli, "-p", str(s.port), "-a", "pw", "--no-auth-warning", *words], check=True, capture_output=True, text=True).stdout.strip()


def mail(i, n=1):
    """The replies to n MAIL commands of one session; the banner alone when that is a refusal."""
    c = Client(i.port)
    if not c.banner.startswith("220"):
        return [c.banner]
    c.cmd("EHLO x.test")
    r = []
    for _ in range(n):
        r.append(c.cmd("MAIL FROM:<a@test.example>"))
        c.cmd("RSET")
    c.quit()
    return r


routers = []
try:
    s.start(daemon, "--port", str(s.port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--requirepass", "pw", "--dir", s.dir)
    s.wait_port()
    x = Proxy(s.port)
    a, b = router(x.port), router(s.port)
    routers += [a, b]

    r = mail(a, 2) + mail(b, 1)
    t.ok(all(l.startswith("250") for l in r), "two routers: as many messages as the limit", r)
    r = mail(b) + mail(a)
    t.eq(r, ["450 4.7.1 Error: too much mail from 127.0.0.1"] * 2, "... and no more, on neither")
    t.ok(b.wait_log("warning: Message delivery request rate limit exceeded: 4 from unknown[127.0.0.1] for service"), "the log has the common count")
    key = "p:{mx/127.0.0.1}:message"
    t.eq(redis("get", key), "5", "the count is a number in the server")
    t.ok(0 < int(redis("pttl", key)) <= 60000, "... that expires with anvil_rate_time_unit", redis("pttl", key))
    redis("pexpire", key, "1")
    t.ok(wait_for("the window to end", lambda: mail(a)[0].startswith("250")), "another window, another count")
    t.ok(0 < int(redis("pttl", key)) <= 60000, "... that expires, too")

    # Many at the same time: exactly the limit.
    redis("del", key)
    replies = []
    threads = [threading.Thread(target=lambda i=i: replies.extend(mail(i))) for i in [a, b] * 8]
    for th in threads:
        th.start()
    for th in threads:
        th.join()
    good = sum(l.startswith("250") for l in replies)
    t.eq((good, len(replies)), (3, 16), "16 at the same time: the limit and no more")

    # A server that is slow: each command waits for it no longer than its time limit; then the machine counts by itself.
    x.set("stall")
    start = time.monotonic()
    r = mail(a)
    took = time.monotonic() - start
    t.ok(r[0].startswith(("250", "450")) and took < 12, "a server that does not answer: a bounded wait", (r, took))
    t.ok(a.wait_log("warning: smtpd_client_counter_store: redis:%s/counters.cf: server 127.0.0.1:%d: " % (a.etc, x.port)), "the log says so", a.log()[-1500:])
    x.set("pass")

    # Connections: held together, renewed while they last, given back, and lapsing with a router that dies.
    c, d = router(s.port, 0, 3), router(s.port, 0, 3)
    routers += [c, d]
    open_ = [Client(c.port), Client(c.port), Client(d.port)]
    t.ok(all(o.banner.startswith("220") for o in open_), "two routers: as many connections as the limit", [o.banner for o in open_])
    full = "421 4.7.0 mx.test.example Error: too many connections from 127.0.0.1"
    t.eq(Client(d.port).banner, full, "... and no more")
    key = "p:{mx/127.0.0.1}:connections"
    names = set(redis("zrange", key, "0", "-1").split())
    first = dict(zip(*[iter(redis("zrange", key, "0", "-1", "withscores").split())] * 2))

    def renewed():
        now = dict(zip(*[iter(redis("zrange", key, "0", "-1", "withscores").split())] * 2))
        return len(now) == 3 and all(float(now[k]) > float(first[k]) + 2000 for k in now if k in first)
    t.ok(wait_for("the leases to be renewed", renewed), "a session that lasts longer than the lease keeps its place")
    t.eq(Client(c.port).banner, full, "... and still counts")
    open_.pop().quit()

    def free():
        o = Client(c.port)
        ok = o.banner.startswith("220")
        (open_.append if ok else lambda o: None)(o)
        return ok
    t.ok(wait_for("the place of who has left", free), "who leaves makes room")
    for pid in c.processes():
        os.kill(pid, 9)
    t.ok(wait_for("the dead router's leases to end", lambda: len(redis("zrange", key, "0", "-1").split()) == 0), "what a dead router held lapses")

    # Server down: open and closed.
    shut = router(s.port, 3, 3, "closed")
    routers.append(shut)
    redis("del", "p:{mx/127.0.0.1}:message")
    r = mail(shut)
    t.ok(r[0].startswith("250"), "closed: the server answers", r)
    s.kill()
    r = mail(b, 4)
    t.ok([l[:3] for l in r] == ["250"] * 3 + ["450"] or [l[:3] for l in r] == ["450"] * 4, "server down, open: this machine counts by itself", r)
    t.ok(b.wait_log("each machine counts by itself"), "the log says so")
    t.eq(mail(shut), ["421 4.3.0 mx.test.example Error: cannot count, try again later"], "server down, closed: come again")
    t.ok(shut.wait_log("clients are turned away"), "the log says so")
    s.restart()
    s.wait_port()
    t.ok(wait_for("the server to be asked again", lambda: mail(shut)[0].startswith("250"), 60, 0.2), "server back: as before", shut.log()[-2000:])
    t.ok(shut.wait_log("counts again"), "the log says so")

    # A server that lies is one that is down; so is one of another kind.
    for answer in (b":1\r\n", b"-ERR no\r\n", b"*2\r\n:1\r\n:-5\r\n", b"*1\r\n$3\r\nabc\r\n", b"220 smtp\r\n"):
        l = socket.create_server(("127.0.0.1", 0))

        def serve(l=l, answer=answer):
            while True:
                try:
                    k, _ = l.accept()
                except OSError:
                    return
                k.recv(65536)
                k.sendall(answer)
                threading.Thread(target=lambda k=k: [None for _ in iter(lambda: k.recv(4096), b"")], daemon=True).start()
        threading.Thread(target=serve, daemon=True).start()
        shut.write("counters.cf", (CF % l.getsockname()[1]).replace("password = pw\n", ""))
        shut.command("postfix", "reload", check=True)
        t.ok(wait_for("the new server's lie", lambda: mail(shut)[0].startswith("421 4.3.0")), "closed: %r is no count" % answer)
        l.close()

    # What means nothing is said, and serves nobody.
    for setting, say in (("smtpd_client_counter_store = nonsense", "neither \"shared\" nor type:name"), ("smtpd_client_counter_failure = maybe", "neither open nor closed")):
        with Instance(MAIN % {"messages": 3, "connections": 0, "failure": "open"} + setting + "\n", files={"counters.cf": CF % s.port}) as i:
            t.ok(i.wait_log("fatal: bad configuration: " + setting.split()[0]) and i.logged(say), setting)
finally:
    for i in routers:
        i.stop()
    s.stop()
sys.exit(t.done())
