#!/usr/bin/env python3
"""spawn.t: commands that answer connections: row N-279 of the catalogue of negative tests, and a reload that cuts nobody."""
import os
import pwd
import resource
import socket
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from instance import Instance, Tap, free_port, wait_for                           # noqa: E402

USER = "games" if os.geteuid() == 0 else pwd.getpwuid(os.geteuid()).pw_name
PORT = free_port()
MASTER = """
echo unix - n n - - spawn user=%(u)s argv=/bin/cat
127.0.0.1:%(p)d inet n n n - 10 spawn user=%(u)s argv=/bin/sh -c { exec cat }
slow unix - n n - - spawn user=%(u)s argv=/bin/sh -c { trap "" TERM HUP PIPE; echo $$; sh -c 'trap "" TERM; echo $$; sleep 60'; sleep 60 }
who unix - n n - - spawn user=%(u)s argv=/bin/sh -c { id -u; ls -l /proc/self/fd }
bad unix - n n - - spawn user=root argv=/bin/cat
gone unix - n n - - spawn user=%(u)s argv=/bin/sh -c { echo $$; exec sleep 60 }
""" % {"u": USER, "p": PORT}
tap = Tap()
inst = Instance("slow_time_limit = 1s\nstop_grace_time = 1s\n", MASTER)


def connect(name):
    if isinstance(name, int):
        return socket.create_connection(("127.0.0.1", name), 30)
    s = socket.socket(socket.AF_UNIX)
    s.settimeout(30)
    s.connect(inst.dir + "/spool/private/" + name)
    return s


def all_of(s):
    out = b""
    while True:
        d = s.recv(65536)
        if not d:
            return out.decode()
        out += d


def say(s, text):
    s.sendall(text)
    return s.recv(65536)


def alive(pid):
    try:
        return open("/proc/%d/stat" % pid).read().rsplit(")", 1)[1].split()[0] not in "ZX"
    except OSError:
        return False


def many():
    resource.setrlimit(resource.RLIMIT_NOFILE, (4096, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
    served = 0
    clients = [connect(PORT) for _ in range(200)]
    for i, c in enumerate(clients):             # ten at a time are served; the others wait their turn
        c.sendall(b"%d" % i)
        c.shutdown(socket.SHUT_WR)
    wait_for("the first commands", lambda: "cat" in inst.processes().values())
    most = len([1 for n in inst.processes().values() if n == "cat"])
    for i, c in enumerate(clients):
        served += all_of(c) == str(i)
    tap.eq(served, 200, "N-279 more clients than the service's limit: each is served in its turn")
    tap.ok(0 < most <= 10, "N-279 and never more commands at once", most)


def main():
    with inst:
        s = connect("echo")
        tap.eq(say(s, b"hello"), b"hello", "a command answers")
        out = all_of(connect("who")).split("\n")
        tap.eq(out[0], str(pwd.getpwnam(USER).pw_uid), "as its user")
        fds = [l for l in out if " -> " in l and "/proc/" not in l]
        tap.ok(len(fds) == 3 and all("socket:" in l for l in fds), "N-276 the connection and nothing else is open", out)
        begin = time.monotonic()
        pids = [int(x) for x in all_of(connect("slow")).split()]
        tap.ok(0.9 < time.monotonic() - begin < 10 and len(pids) == 2 and not any(alive(p) for p in pids),
               "N-279 the time limit ends a command that ignores signals, with its group", pids)
        tap.ok(inst.wait_log(": command time limit exceeded"), "N-279 and the log says so")
        tap.eq(all_of(connect("bad")), "", "a service that cannot work hangs up")
        tap.ok(inst.wait_log("user= command-line attribute specifies root privileges"), "and says why")
        said = inst.command("postfix", "check")
        tap.ok("service bad: user= command-line attribute specifies root privileges" in said.stdout + said.stderr, "so does the check")
        many()
        before = len(inst.log())
        inst.command("postfix", "reload")
        wait_for("reload", lambda: "reload -- version" in inst.log()[before:])
        tap.eq(say(connect("echo"), b"new"), b"new", "after a reload new connections are served")
        tap.eq(say(s, b"again"), b"again", "and an old one lives on")
        s.close()
        g = connect("gone")
        pid = int(g.recv(100))
        inst.command("postfix", "stop")
        tap.ok(wait_for("end of the command", lambda: not alive(pid)), "no command outlives the mail system")
    return tap.done()


sys.exit(main())
