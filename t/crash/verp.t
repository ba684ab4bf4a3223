#!/usr/bin/env python3
"""verp.t: bounces to one address per recipient (VERP), and the queue manager dies after each, or cannot store the next: every address hears once."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from instance import Client, Instance, Tap, wait_for                               # noqa: E402

tap = Tap()
UID, GID = (os.geteuid(), os.getegid()) if os.geteuid() else (1, 1)
inst = Instance("virtual_mailbox_domains = box.test\nvirtual_mailbox_maps = static:box/\nvirtual_mailbox_base = @DIR@/mail\nvirtual_uid_maps = static:%d\nvirtual_gid_maps = static:%d\n"
                "virtual_minimum_uid = 1\nvirtual_transport = virtual\nrelay_domains = fail.test\ntransport_maps = inline:{{fail.test = fail:5.1.1 nobody there}}\n"
                "smtpd_authorized_verp_clients = 127.0.0.1\ndisable_verp_bounces = no\nservice_throttle_time = 1s\nminimal_backoff_time = 1s\nmaximal_backoff_time = 1s\n"
                "queue_run_delay = 1s\n" % (UID, GID), "fail unix - - n - - error\n")
inst.env["PH_FAULT_FILE"] = fault = inst.dir + "/fault"
box = inst.dir + "/mail/box/new"
RCPTS = ["a", "b", "c", "d"]
os.chmod(inst.dir + "/mail", 0o777)


def arm(text):
    with open(fault + ".new", "w") as f:
        f.write(text)
    os.rename(fault + ".new", fault)


def heard():
    """The recipients that the notices are about, by the addresses these went to."""
    names = os.listdir(box) if os.path.isdir(box) else []
    return sorted(l.split("+")[1].split("=")[0] for n in names for l in open("%s/%s" % (box, n)) if l.startswith("Delivered-To: lo+"))


def bounce():
    c = Client(inst.port)
    c.cmd("EHLO client.example")
    c.cmd("MAIL FROM:<lo@box.test> XVERP")
    for r in RCPTS:
        c.cmd("RCPT TO:<%s@fail.test>" % r)
    c.cmd("DATA")
    r = c.cmd("Subject: x\r\n\r\nx\r\n.")
    tap.ok(r.startswith("250"), "a message is taken", "\n".join(c.transcript))


def settled():
    return wait_for("an empty queue", inst.queue_is_empty, 30, 0.1) and heard()


arm("")
with inst:
    qmgr = [p for p, n in inst.processes().items() if n == "qmgr"]
    arm("notify.send=kill:2")
    bounce()
    wait_for("the end of the queue manager", lambda: not os.path.exists("/proc/%d" % qmgr[0]))
    arm("")
    tap.eq(settled(), RCPTS, "it died after a notice: every address hears once")
    for n in os.listdir(box):
        os.unlink(box + "/" + n)
    arm("notify.send=EIO:3")
    bounce()
    wait_for("a notice that fails", lambda: "(bounce failed)" in inst.log())
    tap.eq(settled(), RCPTS, "the third could not be stored at first: every address hears once")
sys.exit(tap.done())
