#!/usr/bin/env python3
"""damage.t: a router meets a damaged queue: flipped bytes, cut files, absurd lengths, foreign things in incoming/, a second master, a dead one.

N-297 N-298 N-299 N-304.  What is damaged is set aside or passed over with a warning, the rest is delivered, and no process dies.
ROUNDS (default 8), SEED."""
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from instance import Client, Instance, Tap, wait_for              # noqa: E402

ROUNDS = int(os.environ.get("ROUNDS", "8"))
SEED = int(os.environ.get("SEED", str(int(time.time()))))
rnd = random.Random(SEED)
HOLD = "transport_maps = inline:{{wait.test = smtp:[127.0.0.1]:1}}\ndefault_transport = discard:away\nminimal_backoff_time = 1h\nmaximal_backoff_time = 1h\nqueue_run_delay = 1h\n"
tap = Tap()
router = Instance(HOLD)
spool = router.dir + "/spool"


def submit(rcpt, message="Subject: x\n\nx\n"):
    c = Client(router.port)
    r = c.send("s@client.example", [rcpt], message)
    c.s.close()
    return r.split()[-1] if "queued as" in r else r


def stop():
    router.command("postfix", "stop")
    wait_for("the end", lambda: not router.processes())


def queued():
    """Ids that postqueue shows."""
    p = router.command("postqueue", "-p", timeout=20)
    return p.returncode, set(re.findall(r"^([0-9A-Za-z]{10,})", p.stdout, re.M))


def files():
    """What has bytes in incoming/ and journal/."""
    out = []
    for d in ("incoming", "journal"):
        for f in sorted(os.listdir(spool + "/" + d)):
            p = "%s/%s/%s" % (spool, d, f)
            if os.path.isfile(p) and not f.startswith("."):
                n = len(open(p, "rb").read().rstrip(b"\0"))
                if n:
                    out.append((p, n))
    return out


def flip(p, n):
    with open(p, "r+b") as f:
        for _ in range(3):
            f.seek(rnd.randrange(n))
            b = f.read(1)
            f.seek(-1, 1)
            f.write(bytes([b[0] ^ (1 << rnd.randrange(8))]))


def cut(p, n):
    os.truncate(p, rnd.randrange(n))


def lengths(p, n):
    """Each aligned word of a small stretch says what no length can be."""
    at = rnd.randrange(max(1, n - 64)) & ~7
    with open(p, "r+b") as f:
        f.seek(at)
        f.write(rnd.choice((b"\xff" * 8, b"\0" * 8, b"\0\0\0\x80" * 2, b"\xff\xff\xff\x7f" * 2)) * rnd.randrange(1, 4))


def restore(good):
    shutil.rmtree(spool)
    subprocess.run(["cp", "-a", good, spool], check=True)


def start(what):
    """The log from here on, when recovery has ended."""
    mark = len(router.log())
    p = router.command("postfix", "start")
    if not tap.ok(p.returncode == 0, "%s: it starts" % what, p.stderr + router.log()[mark:]):
        return ""
    new = submit("new@away.test")
    wait_for("delivery", lambda: re.search("%s: .*status=sent" % new, router.log()[mark:]))
    wait_for("the end of recovery", lambda: " messages in the queue, read in " in router.log()[mark:])
    return router.log()[mark:]


def last_ones(ids):
    """[(file, offset of the message's first record, id)]: of each file of incoming/ the last message."""
    out = {}
    for p, n in files():
        data = open(p, "rb").read()
        for q in ids if "/incoming/" in p else ():
            at = data.find(b"PHR1", max(4096, data.find(q.encode(), 4096) - 64))
            if at >= 0 and q.encode() in data[at:at + 80] and at > out.get(p, (-1,))[0]:
                out[p] = (at, q)
    return [(p, at, q) for p, (at, q) in out.items()]


def ends(ids, good):
    """N-297: the last message of a file that was not sealed looks like a write that was not finished; but the journals know it."""
    for how in ("flip", "end", "cut", "short"):
        restore(good)
        last = last_ones(ids)
        for p, at, q in last:
            with open(p, "r+b") as f:
                data = f.read().rstrip(b"\0")
                tail = data.rfind(b"PHR1")
                if data[tail + 12] == 7:        # CLOSE: as if its writer had been killed
                    f.seek(tail)
                    f.write(bytes(len(data) - tail))
                    tail = data.rfind(b"PHR1", 0, tail)
                if how == "flip":               # a byte of its content
                    f.seek(data.index(b"x\n", at))
                    f.write(b"X")
                elif how == "end":              # its END record
                    f.seek(tail + 20)
                    f.write(b"\xff\xff\xff\xff")
                else:
                    f.truncate(at + 100 if how == "cut" else 1000 if "/S" not in p else at + 8)
        log = start("N-297 %s the last of each file" % how)
        gone = {q for p, at, q in last}
        named = {q for q in gone if re.search(r"qmgr\[\d+\]: warning: %s: " % q, log)}
        tap.ok(len(gone) > 1 and named == gone, "N-297 each one that is lost is named (%d)" % len(gone), (gone, named, log))
        kept = {f.split(".")[0] for f in os.listdir(spool + "/corrupt")}
        tap.ok(kept >= (gone if how != "short" else {q for p, at, q in last if "/S" not in p}), "N-297 its bytes are in corrupt/", (kept, gone))
        tap.eq(queued()[1], set(ids) - gone, "N-297 the others are there")
        stop()
    restore(good)
    for p, n in files():
        if "/incoming/" in p:
            with open(p, "r+b") as f:
                f.write(bytes(4096))
    log = start("N-297 without the header of any file")
    tap.eq(queued()[1], set(ids), "N-297 their messages are all there")
    whole = [router.command("postcat", "-q", q).returncode for q in ids]
    tap.eq(whole, [0] * len(ids), "N-297 and can be read")
    stop()


def rounds(ids, good):
    for i in range(ROUNDS):
        restore(good)
        what = (flip, cut, lengths)[i % 3]
        p, n = rnd.choice(files())
        what(p, n)
        ident = "N-298" if what is lengths else "N-297"
        log = start("%s %s of %s" % (ident, what.__name__, os.path.basename(os.path.dirname(p))))
        rc, there = queued()
        lost = [q for q in ids if q not in there]
        told = all(re.search(r"qmgr\[\d+\]: (warning|error): %s: " % q, log) for q in lost)
        codes = [router.command("postcat", "-q", q, timeout=20).returncode for q in ids]
        tap.ok(rc == 0 and all(c >= 0 for c in codes), "%s no command dies (%d of %d messages whole)" % (ident, len(ids) - len(lost), len(ids)), (rc, codes))
        tap.ok(told, "%s each one that is missing is named" % ident, (lost, log))
        tap.ok("killed by signal" not in log and "panic" not in log, "%s no process dies" % ident, log)
        stop()


def foreign(good):
    """N-299: what is no queue file of ours."""
    restore(good)
    inc = spool + "/incoming"
    some = next(p for p, n in files() if "/incoming/" in p)
    secret = router.dir + "/secret"
    shutil.copy(some, secret)
    os.symlink(secret, inc + "/3C1F52A0B7")
    os.mkdir(inc + "/3C1F52A0B8")
    os.mkfifo(inc + "/3C1F52A0B9")
    os.link(secret, inc + "/3C1F52A0BA")
    open(inc + "/3C1F52A0BB", "w").close()
    open(inc + "/3C1F52A0BC", "wb").write(bytes(4096))
    shutil.copy(some, inc + "/3C1F52A0BD")
    os.chmod(inc + "/3C1F52A0BD", 0o666)
    before = open(secret, "rb").read()
    mark = len(router.log())
    router.command("postfix", "start", check=True)
    sent = submit("new@away.test")
    wait_for("delivery", lambda: re.search("%s: .*status=sent" % sent, router.log()[mark:]))
    rc, there = queued()
    log = router.log()[mark:]
    tap.eq((rc, there), (0, set(ids)), "N-299 a link, a folder, a FIFO, a second link, an empty file, zeros, a copy: the queue shows what it did before")
    tap.eq(open(secret, "rb").read(), before, "N-299 nothing is done to what they point to")
    tap.ok("killed by signal" not in log, "N-299 no process dies", log)
    counts = {n: len(re.findall("(?m)^.*3C1F52A0%s.*$" % n, log)) for n in ("B7", "B8", "B9", "BA")}
    tap.ok(all(c == 1 for c in counts.values()), "N-299 each is named once", (counts, log))


def alive(pid):
    try:
        return open("/proc/%d/stat" % pid).read().rsplit(")", 1)[1].split()[0] not in "ZX"
    except OSError:
        return False


def masters():
    """N-304, with the router up."""
    first = router.master_pid()
    p = router.command("postfix", "start")
    tap.ok(p.returncode != 0 and "already running" in p.stdout + p.stderr + router.log(), "N-304 a second start is refused", p.stdout + p.stderr)
    tap.eq(router.master_pid(), first, "N-304 and the first serves on")
    kids = set(router.processes())
    os.kill(first, signal.SIGKILL)
    wait_for("the next master", lambda: router.master_pid() != first and len(router.processes()) >= len(kids))
    tap.eq(kids & set(router.processes()), set(), "N-304 no process outlives a master that was killed: the next one has its own")
    wait_for("the end of what the kernel kills with it", lambda: not {p for p in kids if alive(p)})
    tap.eq({p for p in kids if alive(p)}, set(), "N-304 and none is left over")
    stop()
    with open(spool + "/pid/master.pid", "w") as f:
        f.write("%20d\n" % os.getpid())         # of somebody else by now
    p = router.command("postfix", "start")
    tap.ok(p.returncode == 0 and router.master_pid() not in (first, os.getpid()), "N-304 a stale pid file is in nobody's way", p.stdout + p.stderr)
    q = submit("again@away.test")
    tap.ok(router.wait_log("%s: to=<again@away.test>" % q), "N-304 and mail is served again")


print("# SEED=%d" % SEED)
with router:
    ids = [submit("r%d@wait.test" % i, "Subject: %d\n\n%s" % (i, "x\n" * (300000 if i == 3 else 50 * i))) for i in range(6)]
    wait_for("deferral of all", lambda: len(re.findall("status=deferred", router.log())) == 6)
    stop()
    good = router.dir + "/good"
    subprocess.run(["cp", "-a", spool, good], check=True)
    ends(ids, good)
    rounds(ids, good)
    foreign(good)
    masters()
sys.exit(tap.done())
