#!/usr/bin/env python3
"""local.t: kill -9 the root agent and the processes that write mailboxes, again and again, under load, then count.

Every message that got a 250 is in its Maildir (lost 0), and whole; twice only when its process died between the sync and the record of the result."""
import os
import pwd
import random
import signal
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from instance import Client, Instance, Tap, wait_for                               # noqa: E402

tap = Tap()
if os.geteuid() != 0:
    print("1..0 # SKIP needs root")
    sys.exit(0)
KILLS = int(os.environ.get("KILLS", "18"))
USERS = ("games", "news", "uucp")
UIDS = {pwd.getpwnam(u).pw_uid: u for u in USERS}
SEED = int(os.environ.get("SEED", str(int(time.time()))))
rnd = random.Random(SEED)
inst = Instance("mydestination = here.test\nlocal_recipient_maps =\nmail_spool_directory = @DIR@/box/\nminimal_backoff_time = 1s\nmaximal_backoff_time = 2s\n"
                "queue_run_delay = 1s\n", "local unix - n n - - local\n")
box = inst.dir + "/box"
FILL = "x" * 70 + "\n"
accepted, over = {}, threading.Event()


def load(user):
    n = 0
    while not over.is_set():
        try:
            c = Client(inst.port)
            for _ in range(20):
                key = "%s-%d" % (user, n)
                n += 1
                if c.send("", [user + "@here.test"], "X-Id: %s\n\n%s-end-%s-\n" % (key, FILL * (0, 300, 4000)[n % 3], key)).startswith("250"):
                    accepted[key] = user
            c.quit()
        except OSError:
            time.sleep(0.01)


def victims():
    """Processes that deliver with others' rights: the root agent, and those that have become one of the users."""
    agents, writers = [], []
    for pid, name in inst.processes().items():
        try:
            uid = os.stat("/proc/%d" % pid).st_uid
            uids = [l.split()[1] for l in open("/proc/%d/status" % pid) if l.startswith("Uid:")]
        except OSError:
            continue
        if uids and int(uids[0]) in UIDS:
            writers.append(pid)
        elif name == "root-agent" and uid == 0 and uids == ["0"]:
            agents.append(pid)
    return agents, writers


def found():
    """{key: how often}, and files that are not whole."""
    got, torn = {}, []
    for u in USERS:
        for f in os.listdir("%s/%s/new" % (box, u)) if os.path.isdir("%s/%s/new" % (box, u)) else []:
            text = open("%s/%s/new/%s" % (box, u, f)).read()
            i = text.find("X-Id: ")
            key = text[i + 6:text.find("\n", i)] if i >= 0 else ""
            got[key] = got.get(key, 0) + 1
            if not text.endswith("-end-%s-\n" % key):
                torn.append(f)
    return got, torn


def main():
    os.mkdir(box)
    os.chmod(box, 0o1777)
    print("# SEED=%d" % SEED)
    with inst:
        threads = [threading.Thread(target=load, args=(u,)) for u in USERS]
        for t in threads:
            t.start()
        killed = [0, 0]
        try:
            for i in range(KILLS):
                before = len(accepted)
                wait_for("more mail", lambda: len(accepted) > before + 5, 30)
                agents, writers = wait_for("a process to kill", lambda: (lambda v: v if v[0] and v[1] else None)(victims()), 30)
                kind = i % 3 == 0
                try:
                    os.kill(rnd.choice(agents if kind else writers), signal.SIGKILL)
                    killed[kind] += 1
                except ProcessLookupError:
                    pass
        finally:
            over.set()
            for t in threads:
                t.join()
        tap.ok(killed[0] > 0 and killed[1] > 0, "%d writers and %d agents killed" % tuple(killed))
        try:
            wait_for("the queue to be empty", inst.queue_is_empty, 60, 0.2)
        except TimeoutError:
            pass
        got, torn = found()
        lost = [k for k in accepted if k not in got]
        tap.ok(not lost, "lost: 0 of %d" % len(accepted), lost[:10])
        tap.ok(not torn, "every file is whole", torn[:10])
        twice = [k for k, n in got.items() if n > 1]
        tap.ok(len(twice) <= killed[0] + killed[1] * 2 * len(USERS), "twice: %d" % len(twice), twice)
    return tap.done()


sys.exit(main())
