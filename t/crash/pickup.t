#!/usr/bin/env python3
"""pickup.t: pickup dies between the commit of a submission and the removal of its file: each message is delivered once, and nothing stays in maildrop/.

N-293 (local submission).  The fault kills every pickup at the first file that it has taken in; each successor finds that file again."""
import os
import re
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from instance import Client, Instance, Tap, wait_for                       # noqa: E402

N = 3


def drops(router):
    return [f for f in os.listdir(router.dir + "/spool/maildrop") if not f.startswith(".")]


def main():
    tap = Tap()
    router = Instance(main="""
default_transport = discard:away
service_throttle_time = 1s
""", env={"PH_FAULT": "pickup.unlink=kill"})
    with router:
        for i in range(N):
            router.command("sendmail", "-f", "s@client.example", "r%d@sink.test" % i, input="Subject: pickup\n\nx\n", check=True)
        wait_for("maildrop to be empty", lambda: not drops(router), 60)
        wait_for("an empty queue", router.queue_is_empty, 30)
        log = router.log()
        sent = sorted(re.findall(r"to=<(r\d@sink.test)>.*status=sent", log))
        ok = tap.ok("dropped: maildrop/" in log, "a successor took a file in again, and its copy was dropped")
        ok &= tap.eq(sent, ["r%d@sink.test" % i for i in range(N)], "each submission was delivered once")
        ok &= tap.eq(os.listdir(router.dir + "/spool/corrupt"), [], "nothing is in corrupt/")
        if not ok:
            print("# " + "\n# ".join(log.splitlines()[-60:]))
    unannounced(tap)
    return tap.done()


def unannounced(tap):
    """N-293: smtpd dies between the commit of its first message and its announcement.  What is whole is delivered, without a restart of anything else."""
    router = Instance(main="default_transport = discard:away\nservice_throttle_time = 1s\n", env={"PH_FAULT": "intake.announce=kill"})
    with router:
        c = Client(router.port)
        c.cmd("EHLO client.example")
        try:
            answer = c.send("s@client.example", ["r@sink.test"], "Subject: x\n\nx\n") or "cut off"
        except OSError:
            answer = "cut off"
        tap.eq(answer, "cut off", "smtpd died before it could answer")
        tap.ok(router.wait_log("status=sent"), "what it had made durable is delivered")
        wait_for("an empty queue", router.queue_is_empty, 20)


sys.exit(main())
