#!/usr/bin/env python3
"""stress.t: a service whose sessions were all in use is short of patience for 1000 seconds: "stress" has a value in its configuration (STRESS_README)."""
import os
import struct
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from instance import Client, Instance, Tap, free_port, wait_for                  # noqa: E402

NEVER = free_port()
MAIN = """
smtpd_banner = $myhostname ${stress?{busy}:{calm}}
smtpd_restriction_classes = ${stress?hurry}
hurry = reject
smtpd_recipient_restrictions = ${stress?hurry} permit
"""
tap = Tap()


def banner(port):
    c = Client(port)
    b = c.banner
    c.quit()
    return b


def replies(port):
    c = Client(port)
    out = [c.banner.split()[-1]] + [c.cmd(l)[:4] for l in ("EHLO a.example", "MAIL FROM:<a@x.example>", "RCPT TO:<b@y.example>")]
    c.s.close()
    return out


def main():
    inst = Instance(MAIN, "127.0.0.1:%d inet n - n - 1 smtpd -o stress=\n" % NEVER)
    text = open(inst.etc + "/master.cf").read()
    open(inst.etc + "/master.cf", "w").write(text.replace("%d inet n - n - - smtpd" % inst.port, "%d inet n - n - 1 smtpd" % inst.port))
    clock = inst.dir + "/clock"
    open(clock, "wb").write(struct.pack("=q", 0))
    inst.env["PH_CLOCK_FILE"] = clock
    with inst:
        tap.eq(banner(inst.port), "220 mx.test.example calm", "the first session finds a calm server")
        tap.ok(inst.wait_log('has reached its process limit "1"'), "it was the only one that there may be")
        wait_for("a stressed session", lambda: "busy" in banner(inst.port))
        tap.ok(True, "those that come later find it busy")
        r = wait_for("a stressed session", lambda: (lambda r: r if r[0] == "busy" else None)(replies(inst.port)))
        tap.eq(r[1:], ["250-", "250 ", "554 "], "its restrictions are those of stress")
        seen = {banner(NEVER).split()[-1] for _ in range(8)}
        tap.eq(seen, {"calm"}, "-o stress= keeps a service from it")
        with open(clock, "r+b") as f:
            f.write(struct.pack("=q", 1001000))
        r = wait_for("a calm session", lambda: "calm" in banner(inst.port))
        tap.ok(r, "after 1000 seconds it has calmed down")
    return tap.done()


sys.exit(main())
