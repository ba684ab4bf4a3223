#!/usr/bin/env python3
"""resources.t: descriptors, processes and memory run out, processes die in a loop, signals storm, the clock jumps; mail waits, none is lost, and it
works again by itself.

N-307, N-321 to N-326, N-328 to N-331"""
import base64
import mmap
import os
import pwd
import re
import resource
import signal
import socket
import struct
import subprocess
import sys
import threading
import time

TOP = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
sys.path.insert(0, os.path.join(TOP, "t", "lib"))
from instance import Client, INST, Instance, Tap, wait_for              # noqa: E402

ROOT = os.geteuid() == 0
USER = "games" if ROOT else pwd.getpwuid(os.geteuid()).pw_name
SANITIZED = b"__asan" in open(INST + "/lib/libposthouse.so", "rb").read()
SMALL = "Subject: x\n\nx\n"
MAIN = """
default_transport = discard:away
transport_maps = inline:{{p.test=p:},{wait.test=smtp:[127.0.0.1]:1}}
minimal_backoff_time = 1s
maximal_backoff_time = 1s
queue_run_delay = 1s
transport_retry_time = 1s
service_throttle_time = 1s
smtpd_client_connection_rate_limit = 0
"""
MASTER = "p unix - n n - - pipe user=%s argv=@DIR@/cmd ${user}\n" % USER

tap = Tap()
inst = Instance(MAIN, MASTER)
out = inst.dir + "/out"


class Page:
    """What shim.c reads."""
    def __init__(self):
        path = inst.dir + "/shim"
        with open(path, "wb") as f:
            f.write(bytes(4096))
        os.chmod(path, 0o666)
        with open(path, "r+b") as f:
            self.m = mmap.mmap(f.fileno(), 4096)
        subprocess.run(["cc", "-O1", "-shared", "-fPIC", "-w", "-o", inst.dir + "/shim.so", TOP + "/t/crash/shim.c", "-ldl"] + ([] if SANITIZED else ["-DALLOCATION"]),
                       check=True)
        inst.env.update(SHIM_FILE=path)
        if not SANITIZED:
            inst.env.update(LD_PRELOAD=inst.dir + "/shim.so")

    def set(self, n, value):
        self.m[n * 8:n * 8 + 8] = struct.pack("q", value)

    def get(self, n):
        return struct.unpack("q", self.m[n * 8:n * 8 + 8])[0]


WALL, FORKS, PID, ALLOCATION = range(4)


def workers(name=None):
    """{pid: name} without the master."""
    return {p: n for p, n in inst.processes().items() if n not in ("master", "posthouse") and (name is None or n == name)}


def cpu(pid):
    f = open("/proc/%d/stat" % pid).read().rsplit(")", 1)[1].split()
    return (int(f[11]) + int(f[12])) / os.sysconf("SC_CLK_TCK")


def fds(pid):
    return len(os.listdir("/proc/%d/fd" % pid))


def submit(rcpt="r@away.test", message=SMALL):
    """The queue id, or the reply that refused."""
    try:
        c = Client(inst.port)
        r = c.send("s@client.example", [rcpt], message)
        c.s.close()
    except OSError as e:
        return "closed: %s" % e
    return r.split()[-1] if "queued as " in r else r


def serves():
    return re.fullmatch("[0-9A-Za-z]+", submit())


def sent(qid):
    return wait_for("delivery of " + qid, lambda: [l for l in inst.log().split("\n") if qid in l and "status=sent" in l], 30)


def threads(pid):
    out = []
    for t in os.listdir("/proc/%d/task" % pid) if os.path.isdir("/proc/%d/task" % pid) else []:
        try:
            out.append(open("/proc/%d/task/%s/stat" % (pid, t)).read().rsplit(")", 1)[1].split()[0])
        except OSError:
            pass
    return out


def zombies():
    """[(pid, name, parent's pid and name, states of its threads)]."""
    bad, all_ = [], inst.processes()
    for p, name in all_.items():
        try:
            state, parent = open("/proc/%d/stat" % p).read().rsplit(")", 1)[1].split()[:2]
        except OSError:
            continue
        if state == "Z" and set(threads(p)) <= {"Z"}:      # with a thread in the middle of a disk write nobody can reap it yet
            bad.append((p, name, parent, all_.get(int(parent)), threads(p)))
    return bad


def agents():
    return [p for p, n in workers().items() if n in ("agent", "root-agent")]


def limit(page, limits):
    """{pid: descriptors, 0: no limit}"""
    for i, (p, n) in enumerate(limits.items()):
        page.set(5 + 2 * i, n)
        page.set(4 + 2 * i, p)


def greeting(port):
    """A connection and the first bytes from it ("": closed; None: nothing so far)."""
    s = socket.create_connection(("127.0.0.1", port), 10)
    s.settimeout(10)
    try:
        return s, s.recv(3)
    except ConnectionError:
        return s, b""


def descriptors(page):
    if SANITIZED:
        return
    servers = list(workers("smtpd"))
    limit(page, {p: fds(p) + 12 for p in servers})
    for p in servers:
        s, said = greeting(inst.port)   # a turn of the loop, in which it takes effect
        s.close()
    begin = {p: cpu(p) for p in servers}
    conns, refused, t = [], 0, time.monotonic()
    for _ in range(100):
        s, said = greeting(inst.port)
        refused += said != b"220"
        conns.append(s)
    time.sleep(0.5)                     # a loop that spins would be seen spinning
    spent, passed = max(cpu(p) - begin[p] for p in servers), time.monotonic() - t
    tap.ok(0 < refused < 100, "N-321 no descriptors: what there is room for is served, others are sent away (%d of 100)" % refused, refused)
    tap.ok(passed < 5, "N-321 and that at once (%.1f s)" % passed)
    tap.ok(spent < 0.25 + passed / 2, "N-321 and the accept loop does not spin (%.2f s of %.2f s)" % (spent, passed))
    tap.ok(inst.logged("accept connection: Too many open files"), "N-321 the log says it", inst.log()[-2000:])
    conns[0].settimeout(10)
    for s in conns:
        s.close()
    wait_for("service again", serves)
    tap.ok(set(servers) <= set(workers()), "N-321 it recovers in the same process", workers())
    limit(page, {p: 0 for p in servers})


def pipes(page):
    """The agents can make no pipe: the mail waits, and is delivered afterwards."""
    if SANITIZED:
        return
    sent(submit("first@p.test"))
    limit(page, {p: 3 for p in agents()})       # what is open stays open; nothing new
    qid = submit("nofd@p.test")
    inst.wait_log("to=<nofd@p.test>")
    tap.ok(re.search(r"%s: to=<nofd@p.test>.*dsn=4\.3\.\d, status=deferred" % qid, inst.log()), "N-321 no descriptors for a pipe: the mail waits",
           [l for l in inst.log().split("\n") if "nofd" in l])
    limit(page, {p: 0 for p in agents()})
    tap.ok(sent(qid), "N-321 and is delivered when there are some")


def forks(page):
    if SANITIZED:
        return
    before = {p: fds(p) for p in agents()}
    page.set(FORKS, 1 << 40)
    ids = [submit("fork%d@p.test" % i) for i in range(10)]
    for i in range(10):
        inst.wait_log("to=<fork%d@p.test>" % i)
    lines = [l for l in inst.log().split("\n") if "to=<fork" in l]
    tap.ok(all("dsn=4.3.0, status=deferred" in l for l in lines), "N-322 fork fails: the mail waits", lines)
    os.kill(list(workers("smtpd"))[0], signal.SIGKILL)
    inst.wait_log("fork: Resource temporarily unavailable")
    page.set(FORKS, 0)
    tap.ok(all(sent(q) for q in ids), "N-322 and is delivered when it works again")
    wait_for("both servers", lambda: serves() and len(workers("smtpd")) >= 1)
    tap.ok(True, "N-322 a process that could not be started is started later")
    wait_for("no more descriptors than before", lambda: all(fds(p) <= n + 1 for p, n in before.items() if os.path.exists("/proc/%d" % p)))
    tap.ok(True, "N-322 no descriptor is left behind by a fork that failed")


def memory(page):
    if SANITIZED:
        return
    taken, fired, ended = [], 0, 0
    for name in ("smtpd", "qmgr", "agent"):
        for nth in (1, 7, 40, 160):
            pid = wait_for("the process", lambda: list(workers(name)))[0]
            page.set(ALLOCATION, nth)
            page.set(PID, pid)
            for _ in range(40):                 # another process may take some of them
                q = submit()
                if re.fullmatch("[0-9A-Za-z]+", q):
                    taken.append(q)
                if page.get(ALLOCATION) <= 0:
                    break
            fired += page.get(ALLOCATION) <= 0
            page.set(PID, 0)
            ended += pid not in workers()
    for q in taken:
        sent(q)
    tap.ok(len(taken) > 5, "N-323 allocation fails in each kind of process: all of %d accepted messages are delivered" % len(taken))
    tap.ok(fired >= 6 and ended >= fired / 2 and inst.logged("killed by signal 6"), "N-323 no memory %d times: the process ends (%d times), unless the call can be refused" %
           (fired, ended), inst.log()[-3000:])
    tap.ok(serves(), "N-323 and is replaced")


def deaths():
    for name in sorted(set(workers().values())):
        others = {p for p, n in workers().items() if n not in (name, "pickup", "qmgr", "agent", "root-agent", "smtpd")}
        master = inst.master_pid()
        starts, begin, mark = set(), time.monotonic(), len(inst.log())
        throttled = "%s.*throttling for" % ("agent" if name == "root-agent" else name)
        # On a busy machine a second is too short for the five deaths in a row that cost no pause.
        while time.monotonic() < begin + 1 or (time.monotonic() < begin + 20 and not re.search(throttled, inst.log()[mark:])):
            for p in workers(name):
                starts.add(p)
                try:
                    os.kill(p, signal.SIGSEGV)
                except OSError:
                    pass
            time.sleep(0.01)
        tap.ok(len(starts) < 40 and inst.master_pid() == master and others <= set(workers()), "N-324 %s dies again and again: %d starts" % (name, len(starts)), starts)
        wait_for("throttling", lambda: re.search(throttled, inst.log()[mark:]))
        tap.ok(True, "N-324 %s is throttled" % name)
        wait_for("service", serves)
        wait_for("the process again", lambda: workers(name))
    sent(submit())


def signals():
    before = inst.processes()
    c = Client(inst.port)
    for sig in (signal.SIGPIPE, signal.SIGXFSZ, signal.SIGALRM):
        for _ in range(100):
            for p in before:
                os.kill(p, sig)
    for p in workers():
        os.kill(p, signal.SIGHUP)
    tap.ok(c.cmd("NOOP").startswith("250"), "N-325 a storm of SIGPIPE, SIGXFSZ, SIGALRM: the session lives", c.transcript)
    tap.eq({p for p in before if not os.path.exists("/proc/%d" % p)}, set(), "N-325 and so does each process")
    for _ in range(100):                # reload after reload
        os.kill(inst.master_pid(), signal.SIGHUP)
        time.sleep(0.01)
    ids = [submit() for _ in range(5)]
    tap.ok(all(sent(q) for q in ids), "N-325 a hundred reloads in a second: mail is delivered")
    c.cmd("QUIT")
    wait_for("the old processes' end", lambda: len(inst.processes()) <= len(before) + 2, 30)
    try:                # one that died just now is a zombie until the master has looked, and until the disk has let go of its last thread
        wait_for("the end of zombies", lambda: not zombies(), 60)
    except TimeoutError:
        pass
    tap.eq(zombies(), [], "N-325 no zombie is left")


def clock(page):
    if SANITIZED:
        return
    c = Client(inst.port)
    c.cmd("EHLO client.example")
    ids = []
    waiting = submit("later@wait.test")

    def tries():
        return inst.log().count("%s: to=<later@wait.test>" % waiting)
    wait_for("the first try", tries)
    for what, jump in (("a day on", 86400), ("back a day before", -86400), ("in 2039", 13 * 365 * 86400), ("in 2107", 81 * 365 * 86400), ("right again", 0)):
        page.set(WALL, jump)
        pids = list(workers())
        begin, start = sum(cpu(p) for p in pids), time.monotonic()
        r = c.send("s@client.example", ["clock@away.test"], SMALL)
        tap.ok("queued as" in r, "N-326 the clock is %s: the session goes on" % what, c.transcript)
        ids.append(r.split()[-1])
        line = sent(ids[-1])[0]
        delay = float(re.search(r"delay=([-0-9.e+]+)", line).group(1))
        tap.ok(0 <= delay < 10 and "=-" not in line, "N-326 and delays are neither negative nor huge", line)
        seen = tries()
        wait_for("another try of what waits, as the clock is " + what, lambda: tries() > seen)
        spent = sum(cpu(p) for p in pids if os.path.exists("/proc/%d" % p)) - begin
        took = time.monotonic() - start
        tap.ok(spent < 0.3 + 0.3 * took, "N-326 nothing spins (%.2f s of processor time in %.1f s)" % (spent, took))
    tap.ok("%s: from=<s@client.example>, status=expired" % waiting not in inst.log(), "N-307 what waits is tried on after each jump, and does not expire by one",
           [l for l in inst.log().split("\n") if waiting in l][-3:])
    inst.command("postsuper", "-d", waiting, check=True)
    tap.eq(len(set(ids)), len(ids), "N-301 no queue id comes twice when the clock goes back")
    c.s.close()


def depth():
    before = set(workers())
    deep = 20000
    values = ["(" * deep, "<" * deep, "a:" * deep, "\"" + "\\" * deep, "@" + ",@" * deep + ":a@b", "[" * deep, "(" * deep + ")" * deep + " a@b.test"]
    nest = "".join("Content-Type: multipart/mixed; boundary=b%d\n\n--b%d\n" % (i, i) for i in range(3000))
    for v in values:
        folded = "\n ".join(v[i:i + 900] for i in range(0, len(v), 900))
        r = submit(message="To: %s\nFrom: %s\nSubject: x\n\nx\n" % (folded, folded))
        if not re.fullmatch("[0-9A-Za-z]+", r) and r[:1] != "5":
            tap.ok(False, "N-328 header of %s..." % v[:5], r)
    r = submit(message=nest)
    tap.ok(re.fullmatch("[0-9A-Za-z]+", r) or r[:1] == "5", "N-328 3,000 parts in each other", r)
    c = Client(inst.port)
    c.cmd("EHLO client.example")
    for v in values:
        c.cmd("MAIL FROM:<%s>" % v[:2000])
    c.s.close()
    wait_for("an empty queue", inst.queue_is_empty)
    tap.ok(before <= set(workers()), "N-328 the deepest nesting ends no process", (before, workers()))


def many():
    """More than 1,024 descriptors, all in DATA; a reload; a command that is started meanwhile."""
    n = 1200
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 8192), hard))
    conns = []
    for i in range(n):
        c = socket.create_connection(("127.0.0.1", inst.port), 20)
        c.sendall(b"")
        conns.append((c, c.makefile("rb")))

    def step(line, want):
        for c, f in conns:
            c.sendall(line)
        bad = []
        for c, f in conns:
            while True:
                l = f.readline()
                if l[3:4] != b"-":
                    break
            if not l.startswith(want):
                bad.append(l)
        return bad
    bad = step(b"", b"220") + step(b"EHLO x\r\n", b"250") + step(b"MAIL FROM:<a@b.test>\r\n", b"250") + step(b"RCPT TO:<r@away.test>\r\n", b"250") + step(b"DATA\r\n", b"354")
    most = max(fds(p) for p in workers("smtpd"))
    tap.ok(not bad and most > 500, "N-331 %d sessions at once, %d descriptors in one process" % (n, most), bad[:3])
    sent(submit("fds@p.test"))
    lines = [l.split(" -> ")[1] for l in open(out + "/fds").read().split("\n") if " -> " in l and "/proc/" not in l]
    tap.ok(len(lines) == 3 and not any("eventpoll" in l or "socket" in l for l in lines), "N-331 a command inherits neither an epoll descriptor nor a socket", lines)
    inst.command("postfix", "reload", check=True)
    bad = step(b"Subject: x\r\n\r\nx\r\n.\r\n", b"250 2.0.0")
    tap.ok(not bad, "N-329 a reload while %d sessions are in DATA: each is finished" % n, bad[:3])
    for c, f in conns:
        f.close()
        c.close()
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    wait_for("an empty queue", inst.queue_is_empty, 60)


def interrupted():
    """Every wait is interrupted again and again, and the message comes in crumbs: the same bytes arrive."""
    stop = threading.Event()
    pids = list(inst.processes())

    def storm():
        while not stop.is_set():
            for p in pids:
                for sig in (signal.SIGSTOP, signal.SIGCONT):
                    try:
                        os.kill(p, sig)
                    except OSError:
                        pass
            time.sleep(0.002)
    t = threading.Thread(target=storm)
    t.start()
    try:
        body = base64.encodebytes(os.urandom(200000)).decode() + "..\n.x\n"
        c = Client(inst.port)
        for cmd in ("EHLO client.example", "MAIL FROM:<s@client.example>", "RCPT TO:<whole@p.test>", "DATA"):
            c.cmd(cmd)
        wire = ("Subject: x\n\n" + body).replace("\n.", "\n..").replace("\n", "\r\n").encode() + b".\r\n"
        c.s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        at = 0
        while at < len(wire):
            size = 1 + at % 7 if at < 2000 or at > len(wire) - 2000 else 997
            c.s.sendall(wire[at:at + size])
            at += size
        r = c.reply()
        c.s.close()
        sent(r.split()[-1])
    finally:
        stop.set()
        t.join()
        for p in pids:
            try:
                os.kill(p, signal.SIGCONT)
            except OSError:
                pass
    return body


def main():
    os.mkdir(out)
    os.chmod(out, 0o777)
    page = Page()
    with open(inst.dir + "/cmd", "w") as f:
        f.write("""#!/bin/sh
case $1 in
fds) ls -l /proc/self/fd > %s/fds;;
whole) cat > %s/whole;;
esac
exit 0
""" % (out, out))
    os.chmod(inst.dir + "/cmd", 0o755)
    with inst:
        descriptors(page)
        pipes(page)
        forks(page)
        signals()
        clock(page)
        depth()
        many()
        body = interrupted()
        got = open(out + "/whole").read()
        tap.ok(got.endswith("\n\n" + body) or got.endswith("\n\n" + body + "\n"), "N-330 interrupted and in crumbs: %d bytes arrive unchanged" % len(body), got[-300:])
        memory(page)
        deaths()
        wait_for("an empty queue", inst.queue_is_empty, 30)
        tap.eq(os.listdir(inst.dir + "/spool/corrupt"), [], "nothing is in corrupt/")
    return tap.done()


sys.exit(main())
