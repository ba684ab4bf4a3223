#!/usr/bin/env python3
"""parts.t: an alias with a mailbox of ours and two members that mailbox_transport takes, one of whom has to wait now and then.

Without accidents each member gets each message exactly once: who has it does not get it again because another one waits.  Of a member
that fails the sender is told at once, and once, whoever has to wait.  Then the queue manager and the
agents are killed again and again under load: nobody loses a message, and whoever gets one twice had a process die over it."""
import os
import random
import signal
import socketserver
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from instance import Client, Instance, Tap, wait_for                               # noqa: E402

tap = Tap()
if os.geteuid() != 0:
    print("1..0 # SKIP needs root")
    sys.exit(0)
KILLS = int(os.environ.get("KILLS", "12"))
SEED = int(os.environ.get("SEED", str(int(time.time()))))
LOCK = threading.Lock()
got = {"games": {}, "news": {}, "uucp": {}}     # member: {key: how often}
refusals = [0]
late = {}                                       # the same, of one who waits until it is opened
opened = threading.Event()


class Lmtp(socketserver.StreamRequestHandler):
    """Takes every third RCPT for news only later."""

    def say(self, text):
        self.wfile.write(text.encode() + b"\r\n")

    def handle(self):
        try:
            self.dialogue()
        except OSError:
            pass

    def dialogue(self):
        rcpts = []
        self.say("220 lmtp")
        while True:
            line = self.rfile.readline().decode("latin-1").strip().upper()
            if not line or line == "QUIT":
                break
            if line.startswith("RCPT"):
                with LOCK:
                    refusals[0] += "NEWS" in line
                    later = "NEWS" in line and refusals[0] % 3 == 0
                    later |= "LATE" in line and not opened.is_set()
                self.say("450 4.2.1 later" if later else "250 ok")
                rcpts += [] if later else [line.split("<")[1].split("@")[0].lower()]
            elif line == "DATA":
                self.data(rcpts)
                rcpts = []
            else:
                self.say("250-lmtp\r\n250 PIPELINING" if line.startswith("LHLO") else "250 ok")

    def data(self, rcpts):
        if not rcpts:
            self.say("554 5.5.1 no recipients")
            return
        self.say("354 go on")
        key = None
        for line in iter(self.rfile.readline, b".\r\n"):
            if not line:
                return
            if line.startswith(b"X-Id: "):
                key = line[6:].decode().strip()
        for r in rcpts:
            with LOCK:
                tally = late if r == "late" else got[r]
                tally[key] = tally.get(key, 0) + 1
            self.say("250 2.0.0 done")


class Server(socketserver.ThreadingTCPServer):
    daemon_threads = allow_reuse_address = True
    request_queue_size = 512            # a connection beyond it would wait for minutes


server = Server(("127.0.0.1", 0), Lmtp)
threading.Thread(target=server.serve_forever, daemon=True).start()
inst = Instance("mydestination = here.test\nmyorigin = here.test\nmail_spool_directory = @DIR@/box/\nalias_maps = inline:{ { all = games, news, uucp } { mix = late, nosuch } }\n"
                "mailbox_transport_maps = inline:{ { news = lmtp:inet:127.0.0.1:%d } { uucp = lmtp:inet:127.0.0.1:%d } { late = lmtp:inet:127.0.0.1:%d } }\n"
                "minimal_backoff_time = 1s\nmaximal_backoff_time = 1s\nqueue_run_delay = 1s\ntransport_retry_time = 1s\n" % ((server.server_address[1],) * 3),
                "local unix - n n - - local\n")
box = inst.dir + "/box/games/new"


def send(prefix, n):
    c = Client(inst.port)
    keys = []
    for i in range(n):
        key = "%s-%d" % (prefix, i)
        if c.send("", ["all@here.test"], "X-Id: %s\n\ntext\n" % key).startswith("250"):
            keys.append(key)
    c.quit()
    return keys


def counts():
    mailbox = {}
    for f in os.listdir(box) if os.path.isdir(box) else []:
        text = open(box + "/" + f).read()
        key = text.split("X-Id: ", 1)[1].split("\n", 1)[0]
        mailbox[key] = mailbox.get(key, 0) + 1
    with LOCK:
        return dict(got, games=mailbox)


def empty():
    return inst.queue_is_empty()


def quiet():
    keys = send("q", 9)
    wait_for("the queue to be empty", empty, 30, 0.1)
    c = counts()
    wrong = [(who, k, c[who].get(k, 0)) for who in c for k in keys if c[who].get(k, 0) != 1]
    tap.ok(refusals[0] > len(keys), "some were put off")
    tap.ok(not wrong, "each member has each of %d messages once" % len(keys), wrong)
    ids = {l.split("]: ", 1)[1].split(":")[0] for l in inst.log().split("\n") if "/lmtp[" in l and "status=sent" in l}
    queued = {l.split("]: ", 1)[1].split(":")[0] for l in inst.log().split("\n") if "queue active" in l}
    tap.eq((len(queued), ids <= queued), (len(keys), True), "under the message's own queue id")


def told():
    c = Client(inst.port)
    qid = c.send("games@here.test", ["mix@here.test"], "X-Id: told\n\ntext\n").rsplit(" ", 1)[1]
    c.quit()
    notice = qid + ": sender non-delivery notification: "
    tap.ok(inst.logged(notice) and not late, "the sender is told of a member that fails while another one waits")
    wait_for("the notification", lambda: [l for l in inst.log().split("\n") if "to=<games@here.test>" in l and "status=sent" in l and
                                          notice + l.split("]: ", 1)[1].split(":")[0] in inst.log()], 20)
    old = [p for p, name in inst.processes().items() if name == "qmgr"]
    os.kill(old[0], signal.SIGKILL)
    wait_for("another queue manager", lambda: [p for p, name in inst.processes().items() if name == "qmgr" and p not in old] and
             inst.command("postqueue", "-p").returncode == 0)
    opened.set()
    wait_for("the one who waited", lambda: late, 30)
    wait_for("the queue to be empty", empty, 30, 0.1)
    tap.eq((late, inst.log().count(notice)), ({"told": 1}, 1), "and not again, after a crash and with the last one")


def hostile():
    rnd = random.Random(SEED)
    accepted, over = [], threading.Event()

    def load():
        n = 0
        while not over.is_set():
            n += 1
            try:
                accepted.extend(send("h%d" % n, 5))
            except OSError:
                time.sleep(0.01)

    t = threading.Thread(target=load)
    t.start()
    kills = 0
    try:
        while kills < KILLS:
            before = sum(sum(x.values()) for x in counts().values())
            wait_for("more deliveries", lambda: sum(sum(x.values()) for x in counts().values()) > before + 10, 30)
            victims = [p for p, name in inst.processes().items() if name in (("qmgr",), ("agent", "root-agent"))[kills % 2]]
            if victims:
                os.kill(rnd.choice(victims), signal.SIGKILL)
                kills += 1
    finally:
        over.set()
        t.join()
    try:
        wait_for("the queue to be empty", empty, 60, 0.2)
    except TimeoutError:
        tap.ok(False, "the queue gets empty", inst.command("postqueue", "-p").stdout[-2000:])
    c = counts()
    lost = [(who, k) for who in c for k in accepted if not c[who].get(k)]
    tap.ok(not lost, "lost: 0 of %d" % len(accepted), lost[:10])
    twice = [(who, k, n) for who in c for k, n in c[who].items() if n > 1]
    print("# twice: %s" % {who: sum(n - 1 for n in c[who].values()) for who in c})
    tap.ok(len(twice) <= 3 * kills, "twice after %d kills: %d" % (kills, len(twice)), twice)


def main():
    os.mkdir(inst.dir + "/box")
    os.chmod(inst.dir + "/box", 0o1777)
    print("# SEED=%d" % SEED)
    with inst:
        print("# %s" % sorted(set(inst.processes().values())))
        quiet()
        told()
        hostile()
    return tap.done()


sys.exit(main())
