#!/usr/bin/env python3
"""faults.t: the disk is full, fails or lies, and commands get ids that are none; the client hears 4xx, nothing is lost, and it works again by itself.

N-294 N-295 N-296 N-302 N-303"""
import os
import re
import socket
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from instance import Client, Instance, Tap, wait_for                    # noqa: E402

SMALL = "Subject: x\n\nx\n"
LARGE = "Subject: x\n\n" + ("y" * 70 + "\n") * 6000       # a file of its own


class SlowSink(threading.Thread):
    """Takes a message and answers its dot only when told to."""
    def __init__(self):
        super().__init__(daemon=True)
        self.s = socket.socket()
        self.s.bind(("127.0.0.1", 0))
        self.s.listen(20)
        self.port = self.s.getsockname()[1]
        self.dots, self.go = 0, threading.Event()
        self.start()

    def run(self):
        while True:
            threading.Thread(target=self.serve, args=(self.s.accept()[0],), daemon=True).start()

    def serve(self, c):
        f = c.makefile("rb")
        c.sendall(b"220 sink ESMTP\r\n")
        for line in f:
            v = line[:4].upper()
            if v == b"DATA":
                c.sendall(b"354 go\r\n")
                for line in f:
                    if line == b".\r\n":
                        break
                self.dots += 1
                self.go.wait(30)
            c.sendall(b"221 bye\r\n" if v == b"QUIT" else b"250 ok\r\n")
            if v == b"QUIT":
                break
        c.close()


def submit(router, message=SMALL, rcpt="r@away.test"):
    c = Client(router.port)
    r = c.send("s@client.example", [rcpt], message)
    c.s.close()
    return r


def refused_on_a_full_disk(tap, router, fault):
    """What sendmail(1) has taken and clean-up refuses stays in maildrop/ until its notification has somewhere to be."""
    fault("store.write=ENOSPC:*")
    router.command("sendmail", "-f", "s@client.example", "r@loop.test", input="Received: x\n" * 51 + "\nx\n", check=True)
    wait_for("the attempt", lambda: "hopcount exceeded" in router.log())
    time.sleep(0.3)                         # it would be gone by then
    tap.ok(len(os.listdir(router.dir + "/spool/maildrop")) == 1, "N-295 refused mail of sendmail(1) waits while there is no space", router.log()[-1500:])
    fault("")
    wait_for("the notification", lambda: "sender non-delivery notification" in router.log() or router.command("postkick", "public", "pickup", "W") and False, 30, 0.3)
    tap.ok(router.logged("status=bounced (too many hops)"), "and then its sender is told")


def faults(tap):
    fault_file = "/var/tmp/posthouse-faults.%d" % os.getpid()
    open(fault_file, "w").close()
    os.chmod(fault_file, 0o644)
    router = Instance(main="default_transport = discard:away\n", env={"PH_FAULT_FILE": fault_file})

    def fault(text):
        with open(fault_file + ".new", "w") as f:
            f.write(text + "\n")
        os.chmod(fault_file + ".new", 0o644)
        os.rename(fault_file + ".new", fault_file)
        time.sleep(0.02)                # the file's time stamp has to differ

    try:
        with router:
            tap.ok(submit(router).startswith("250"), "mail is taken")
            for ident, point, what, message in (
                    ("N-294", "store.sync=EIO", "fdatasync fails once", SMALL), ("N-294", "store.filesync=EIO", "the same, large message", LARGE),
                    ("N-295", "store.write=ENOSPC", "no space", SMALL), ("N-295", "store.write=EIO", "a write error", SMALL),
                    ("N-295", "store.write=EDQUOT", "the quota is used up", SMALL), ("N-295", "store.filewrite=ENOSPC", "no space, large message", LARGE),
                    ("N-295", "store.filecreate=EMFILE", "no descriptors, large message", LARGE)):
                fault(point + ":*")
                r = submit(router, message)
                tap.ok(re.match(r"45[12] 4\.3\.[01]", r), "%s %s: 4xx" % (ident, what), r)
                fault("")
                r = submit(router, message)
                tap.ok(r.startswith("250"), "%s and then it works again" % ident, r)
            fault("store.write=ENOSPC:*")
            replies = [submit(router) for _ in range(5)]
            tap.ok(all(r[:1] == "4" for r in replies), "N-296 as long as the disk is full: 4xx each time", replies)
            fault("")
            tap.ok(submit(router).startswith("250"), "N-296 space returns: mail is taken without a restart")
            refused_on_a_full_disk(tap, router, fault)
            wait_for("an empty queue", router.queue_is_empty, 20)
            taken = lambda: len(re.findall("to=<r@away.test>.*status=sent", router.log()))
            wait_for("the log", lambda: taken() >= 9)
            tap.eq(taken(), 9, "N-294 N-295 N-296 what was answered 250 was delivered, and nothing else")
            tap.eq(os.listdir(router.dir + "/spool/corrupt"), [], "nothing is in corrupt/")
    finally:
        for f in (fault_file, fault_file + ".new"):
            if os.path.exists(f):
                os.unlink(f)


def ids(tap, router):
    submit(router, rcpt="r@wait.test")
    wait_for("a deferred message", lambda: "wait.test" in router.command("postqueue", "-p").stdout)
    bad = ["", "A", "../x", "*", "a b", "x" * 10000, "-d", "/etc/passwd", "\xff\xfe"]
    for i in bad:
        p = router.command("postsuper", "-d", i)
        tap.ok("Deleted: 1" not in p.stderr and not router.queue_is_empty(), "N-302 postsuper -d %r deletes nothing" % i[:20], p.stderr)
    p = router.command("postsuper", "-h", "-", input="ABC\0DEF\n../..\n" + "y" * 20000 + "\n\n")
    tap.ok(p.returncode == 0 and "Placed on hold: 0 messages" in p.stderr, "N-302 nor do lines with NUL, paths and 20,000 bytes", p.stderr[-300:])
    p = router.command("postsuper", "-d", "ALL")
    tap.ok("Deleted: 1 message" in p.stderr and router.queue_is_empty(), "N-302 and what is there can be deleted", p.stderr)


def races(tap):
    sink = SlowSink()
    router = Instance(main="transport_maps = inline:{{slow.test = smtp:[127.0.0.1]:%d}, {wait.test = smtp:[127.0.0.1]:1}}\n" % sink.port)
    with router:
        ids(tap, router)
        for op, what in (("-d", "deleted"), ("-h", "held"), ("-r", "requeued")):
            before = sink.dots
            sink.go.clear()
            submit(router, rcpt="r@slow.test")
            wait_for("the dot", lambda: sink.dots == before + 1)
            run = threading.Thread(target=router.command, args=("postsuper", op, "ALL"))
            run.start()
            time.sleep(0.3)
            sink.go.set()
            run.join()
            wait_for("an empty queue", router.queue_is_empty, 20)
            tap.eq(sink.dots, before + 1, "N-303 %s while it is delivered: delivered once, and gone" % what)


def main():
    tap = Tap()
    if os.geteuid() == 0:
        races(tap)                      # postsuper is root's
    faults(tap)
    return tap.done()


sys.exit(main())
