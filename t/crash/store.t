#!/usr/bin/env python3
"""store.t: kill the store's writer at random and at each named point, then count; and the same with the power cut.

Every message that was acknowledged must be found intact (lost 0; N-308: also when the power goes), no message that was refused may be found, journal records must be there
once they were appended (kill) or synced (power).  The power test runs the writer under syncshim, which keeps what was synced, and reads
that; in the torn variant each 512-byte sector that was written but not synced is there or not by chance, and so is each folder entry.
ROUNDS (default 12): rounds of each random kind.  SEED repeats a run."""
import os
import random
import re
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time

BUILD = os.environ.get("PH_BUILD", os.getcwd())
ROUNDS = int(os.environ.get("ROUNDS", "12"))
SEED = int(os.environ.get("SEED", str(int(time.time()))))
BUDGET = float(os.environ.get("BUDGET", "60"))
PROG = os.path.join(BUILD, "t/crash/store_crash")
SHIM = os.path.join(BUILD, "t/crash/.libs/syncshim.so")
rnd = random.Random(SEED)
resource.setrlimit(resource.RLIMIT_NOFILE, (min(20000, resource.getrlimit(resource.RLIMIT_NOFILE)[1]),) * 2)
start = time.monotonic()
tests = failed = 0

KILL_POINTS = ["store.create", "store.headsync", "store.named", "store.dirsync", "store.write", "store.written", "store.sync", "store.synced",
               "store.filecreate", "store.filewrite", "store.filesync", "store.filedirsync", "store.filesynced",
               "journal.write", "journal.written", "journal.sync"]
ERROR_POINTS = ["store.create=ENOSPC", "store.headsync=EIO", "store.dirsync=EIO", "store.write=EIO", "store.short=ENOSPC", "store.written=EIO",
                "store.sync=EIO", "store.synced=EIO", "store.filecreate=EMFILE", "store.filewrite=ENOSPC", "store.filesync=EIO",
                "store.filedirsync=EIO", "journal.write=ENOSPC", "journal.short=ENOSPC", "journal.sync=EIO", "journal.create=ENOSPC"]


def ok(cond, text, *detail):
    global tests, failed
    tests += 1
    print(("ok" if cond else "not ok"), tests, "-", text, flush=True)
    if not cond:
        failed += 1
        for d in detail:
            print("#", d, flush=True)


class Rig:
    """One queue directory over many lives of its writer."""

    def __init__(self, top, power=None):
        self.top, self.power = top, power               # power: None, "synced" or "torn"
        self.dir = os.path.join(top, "q")
        self.number = 1
        self.forget()
        self.kills = 0

    def forget(self):
        self.acked, self.refused, self.journaled, self.synced = {}, set(), set(), set()

    def live(self, seconds, fault=None, sessions=200, until=None):
        """Run the writer until it dies of its fault or is killed (until: 50 ms after it has said that); take down what it said."""
        env = dict(os.environ)
        env.pop("PH_FAULT", None)
        if fault:
            env["PH_FAULT"] = fault
        if self.power:
            self.shadow = os.path.join(self.top, "shadow")
            os.makedirs(self.shadow, exist_ok=True)
            env.update(LD_PRELOAD=SHIM, SYNCSHIM_ROOT=self.dir, SYNCSHIM_SHADOW=self.shadow)
        out = open(os.path.join(self.top, "said"), "wb+")
        err = open(os.path.join(self.top, "errors"), "ab")
        p = subprocess.Popen([PROG, "write", self.dir, "1", str(sessions), str(self.number)], stdout=out, stderr=err, env=env)
        end = time.monotonic() + seconds
        said = os.path.join(self.top, "said")
        while p.poll() is None and time.monotonic() < end:
            time.sleep(0.003)
            if until and until in open(said, "rb").read():
                end, until = min(end, time.monotonic() + 0.05), None
        died = p.poll()
        if died is None:
            p.send_signal(signal.SIGKILL)
            p.wait()
        self.kills += 1
        out.seek(0)
        text = out.read().decode()
        out.close()
        err.close()
        pending, asked = set(), set()
        for line in text[:text.rfind("\n") + 1].splitlines():
            w = line.split()
            n = int(w[1])
            self.number = max(self.number, n + 1)
            if w[0] == "A":
                self.acked[n] = w[2]
            elif w[0] == "R":
                self.refused.add(w[2])
            elif w[0] == "J":
                self.journaled.add(n)
                pending.add(n)
            elif w[0] == "T":
                self.journaled.add(n)
                pending.add(n)
                asked, pending = asked | pending, set()
            elif w[0] == "S":
                self.synced |= asked
                asked = set()
        self.number += 1000                              # those that were under way keep their numbers
        return died

    def after_power(self):
        """A folder as the disk would have it; the next life of the writer goes on with it."""
        real = {}                                        # inode -> path
        names = {}                                       # folder -> {name: inode}
        for folder in ("incoming", "spare", "journal"):
            now = {}
            for e in os.scandir(os.path.join(self.dir, folder)):
                if not e.name.startswith("."):
                    now[e.name] = e.inode()
                    real[e.inode()] = e.path
            was = {}
            try:
                for line in open(os.path.join(self.shadow, "d." + folder)):
                    ino, name = line.split()
                    was[name] = int(ino)
            except FileNotFoundError:
                pass
            if self.power == "torn":
                for name in set(now) | set(was):
                    if now.get(name) != was.get(name) and rnd.random() < 0.5:
                        if name in now:
                            was[name] = now[name]
                        else:
                            del was[name]
            names[folder] = was
        disk = os.path.join(self.top, "disk")
        shutil.rmtree(disk, ignore_errors=True)
        subprocess.run([PROG, "check", disk], check=True)
        kept = {}
        for folder, entries in names.items():
            for name, ino in entries.items():
                path = os.path.join(disk, folder, name)
                if ino in kept:
                    os.link(kept[ino], path)
                    continue
                kept[ino] = path
                self.file_after_power(ino, real.get(ino), path)
        shutil.rmtree(self.dir)
        shutil.rmtree(self.shadow)
        os.makedirs(self.shadow)
        os.rename(disk, self.dir)
        # What is on the disk now is synced: the shadow begins with it.
        for folder in names:
            with open(os.path.join(self.shadow, "d." + folder), "w") as f:
                for e in os.scandir(os.path.join(self.dir, folder)):
                    f.write("%d %s\n" % (e.inode(), e.name))
                    target = os.path.join(self.shadow, "i.%d" % e.inode())
                    if not os.path.exists(target):
                        shutil.copyfile(e.path, target)

    def file_after_power(self, ino, live, path):
        try:
            old = bytearray(open(os.path.join(self.shadow, "i.%d" % ino), "rb").read())
        except FileNotFoundError:
            old = bytearray()
        if self.power == "torn" and live:
            new = open(live, "rb").read()
            if len(new) > len(old):
                old.extend(bytes(len(new) - len(old)))
            elif rnd.random() < 0.5:
                del old[len(new):]
            if old != new:
                for at in range(0, min(len(old), len(new)), 512):
                    if old[at:at + 512] != new[at:at + 512] and rnd.random() < 0.5:
                        old[at:at + 512] = new[at:at + 512]
        with open(path, "wb") as f:
            f.write(old)
        os.chmod(path, 0o600)

    def count(self, what):
        if self.power:
            self.after_power()
        p = subprocess.run([PROG, "check", self.dir], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        found, journal, wrong, damage, twice = {}, set(), [], [], []
        for line in p.stdout.splitlines():
            w = line.split()
            if w[0] == "M":
                if int(w[1]) in found:
                    twice.append(w[2])
                found[int(w[1])] = w[2]
            elif w[0] == "J":
                journal.add(int(w[1]))
            elif w[0] == "W":
                wrong.append(line)
            elif w[0] == "D":
                damage.append(line)
        lost = [n for n, q in self.acked.items() if found.get(n) != q]
        back = [q for q in found.values() if q in self.refused]
        gone = (self.synced if self.power else self.journaled) - journal
        bad = [] if self.power == "torn" else damage
        ok(p.returncode == 0 and not lost and not back and not wrong and not twice and not gone and not bad,
           "%s: %d acknowledged, lost %d, %d refused, back %d, %d journal records, gone %d" %
           (what, len(self.acked), len(lost), len(self.refused), len(back), len(self.synced if self.power else self.journaled), len(gone)),
           "lost %s" % lost[:5], "back %s" % back[:5], "wrong %s" % wrong[:5], "twice %s" % twice[:5], "gone %s" % sorted(gone)[:5],
           "damage %s" % bad[:5], p.stderr[-2000:], "SEED=%d" % SEED)

    def discard(self):
        """Begin anew; with power cuts in an empty folder, as the disk's view of the old one would have to be taken over."""
        if self.power:
            shutil.rmtree(self.dir)
            shutil.rmtree(os.path.join(self.top, "shadow"), ignore_errors=True)
            subprocess.run([PROG, "check", self.dir], check=True)
        else:
            subprocess.run([PROG, "discard", self.dir], check=True)
        self.forget()


def rounds(rig, kind, n, share):
    begin = time.monotonic()
    for i in range(n):
        if time.monotonic() - begin > BUDGET * share:
            print("# %s: out of time after %d of %d rounds" % (kind, i, n))
            break
        rig.live(0.05 + rnd.random() * 0.25)
        rig.count("%s, round %d" % (kind, i))
        if i % 3 == 2:
            rig.discard()


def at_points(rig, kind, share):
    begin = time.monotonic()
    points = KILL_POINTS[:]
    rnd.shuffle(points)
    for point in points:
        if time.monotonic() - begin > BUDGET * share:
            print("# %s: out of time before %s" % (kind, point))
            break
        rig.discard()
        often = not re.search("create|head|named|dirsync|filesync", point)
        died = rig.live(2, "%s=kill:%d" % (point, rnd.randrange(1, 40) if often else rnd.randrange(1, 4)))
        ok(died == -signal.SIGKILL, "%s, died at %s" % (kind, point))
        rig.count("%s at %s" % (kind, point))


def main():
    top = tempfile.mkdtemp(prefix="ph-crash.")
    print("# SEED=%d" % SEED)
    acked = 0
    try:
        def rig(name, power=None):
            os.mkdir(os.path.join(top, name))
            r = Rig(os.path.join(top, name), power)
            subprocess.run([PROG, "check", r.dir], check=True)
            return r
        r = rig("kill")
        rounds(r, "kill -9", ROUNDS, 0.2)
        at_points(r, "kill -9", 0.25)
        r = rig("errors")
        for spec in ERROR_POINTS:
            refuses = spec.startswith(("store.w", "store.s", "store.f"))
            at = rnd.randrange(2, 5)
            # Two in a row: what ENOSPC hits first may succeed when the spare segments have made room.
            r.live(3 if refuses else 0.15, ",".join("%s:%d" % (spec, n) for n in (at, at + 1, rnd.randrange(6, 9))), until=b"R ")
            if refuses:
                ok(r.refused, "%s refuses something" % spec)
            r.count("errors %s, then kill -9" % spec)
            r.discard()
        r = rig("power", "synced")
        rounds(r, "power", ROUNDS, 0.15)
        r = rig("powerpoints", "synced")
        at_points(r, "power", 0.2)
        r = rig("torn", "torn")
        rounds(r, "power, torn", ROUNDS, 0.2)
    finally:
        shutil.rmtree(top, ignore_errors=True)
    print("1..%d" % tests)
    print("# %.0f s" % (time.monotonic() - start))
    return 1 if failed else 0


sys.exit(main())
