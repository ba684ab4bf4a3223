#!/usr/bin/env python3
"""notices.t: whom the router writes to when mail fails, and that it ends: double bounces, forged senders, loops, hostile text."""
import email
import os
import re
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from instance import Client, Instance, Tap, wait_for                    # noqa: E402

MAIN = """
mydestination = here.test
local_transport = virtual
local_recipient_maps = inline:{known=x, double-bounce=x}
virtual_mailbox_domains = box.test
virtual_mailbox_maps = static:box/
virtual_mailbox_base = @DIR@/mail
virtual_uid_maps = static:@UID@
virtual_gid_maps = static:@GID@
virtual_minimum_uid = 1
virtual_transport = virtual
transport_maps = inline:{{fail.test = fail:5.1.1 nobody there}, box.test=virtual:}
relay_domains = fail.test
notify_classes = 2bounce
2bounce_notice_recipient = pm@box.test
bounce_size_limit = 20000
virtual_alias_maps = inline:{{big@box.test = a@box.test, b@box.test, c@box.test, d@box.test}, r1@box.test=r2@box.test,
 r2@box.test=r3@box.test, r3@box.test=r4@box.test, r4@box.test=r5@box.test, r5@box.test=r6@box.test}
virtual_alias_expansion_limit = 3
virtual_alias_recursion_limit = 3
hopcount_limit = 5
"""
MASTER = "fail unix - - n - - error\n"


def mails(router):
    """Messages in the mailbox, parsed."""
    out = []
    for sub in ("new", "cur"):
        d = router.dir + "/mail/box/" + sub
        for f in sorted(os.listdir(d)) if os.path.isdir(d) else []:
            out.append(email.message_from_bytes(open(d + "/" + f, "rb").read()))
            os.unlink(d + "/" + f)
    return out


def send(router, sender, rcpts, message="Subject: x\n\nx\n", mail="", rcpt=""):
    c = Client(router.port)
    c.cmd("EHLO client.example")
    c.cmd("MAIL FROM:<%s>%s" % (sender, mail))
    replies = [c.cmd("RCPT TO:<%s>%s" % (r, rcpt)) for r in rcpts]
    c.cmd("DATA")
    c.s.sendall(message.replace("\n", "\r\n").encode("latin-1") + b".\r\n")
    last = c.reply()
    c.quit()
    wait_for("an empty queue", router.queue_is_empty, 30)
    return replies, last


TALKATIVE = """
notify_classes = protocol
error_notice_recipient = pm@box.test
smtpd_soft_error_limit = 1000
smtpd_hard_error_limit = 1000
smtpd_junk_command_limit = 1000
"""


def huge_transcript(tap, main):
    router = Instance(main=main.replace("notify_classes = 2bounce", "") + TALKATIVE, master=MASTER)
    os.chmod(router.dir + "/mail", 0o777)
    new = router.dir + "/mail/box/new"
    with router:
        c = Client(router.port)
        for i in range(300):
            c.cmd("BOGUS " + "x" * 700)
        c.quit()
        wait_for("the transcript", lambda: os.path.isdir(new) and os.listdir(new) and router.queue_is_empty(), 30)
        m = mails(router)
        size = len(m[0].as_bytes())
        tap.ok(len(m) == 1 and 40000 < size < 200000 and "the transcript ends here" in m[0].as_string(),
               "N-337 one notice of bounded size about a session of 200 KB", "%d notices, %d bytes" % (len(m), size))


def main():
    tap = Tap()
    uid, gid = (os.geteuid(), os.getegid()) if os.geteuid() else (1, 1)
    main_cf = MAIN.replace("@UID@", str(uid)).replace("@GID@", str(gid))
    huge_transcript(tap, main_cf)
    router = Instance(main=main_cf, master=MASTER)
    os.chmod(router.dir + "/mail", 0o777)
    with router:
        send(router, "", ["x@fail.test"])
        m = mails(router)
        tap.eq([x["To"] for x in m], ["pm@box.test"], "N-281 a bounce of a bounce goes to 2bounce_notice_recipient")
        tap.ok(m and m[0]["Return-Path"] == "<double-bounce@mx.test.example>", "N-281 from an address that never bounces", m and m[0]["Return-Path"])

        at = len(router.log())
        send(router, "double-bounce@mx.test.example", ["x@fail.test"])
        wait_for("the discarded one", lambda: "undeliverable postmaster notification discarded" in router.log()[at:])
        tap.ok(not mails(router), "N-282 what fails from the double-bounce sender is discarded")
        replies, last = send(router, "s@box.test", ["double-bounce@here.test"])
        tap.ok(not mails(router), "N-282 mail to the double-bounce address starts no loop", replies + [last])

        c = Client(router.port)
        c.cmd("EHLO client.example")
        c.cmd("MAIL FROM:<s@box.test>")
        r = c.cmd("RCPT TO:<nobody@here.test>")
        c.quit()
        tap.ok(r.startswith("550 5.1.1"), "N-283 an unknown local recipient is refused at RCPT", r)
        tap.ok(router.queue_is_empty() and not mails(router), "N-283 and nothing is queued")

        send(router, "forged@box.test", ["u%d@fail.test" % i for i in range(200)], "Subject: x\n\n" + ("y" * 70 + "\n") * 2000)
        m = mails(router)
        tap.eq(len(m), 1, "N-284 one notification about 200 recipients")
        tap.ok(m and m[0].as_string().count("Final-Recipient:") == 200 and m[0].as_string().count("y" * 70) == 0,
               "N-284 that names each, and returns no more than bounce_size_limit")
        send(router, "forged@box.test", ["u%d@fail.test" % i for i in range(20)], rcpt=" NOTIFY=NEVER")
        tap.eq(len(mails(router)), 0, "N-284 none for NOTIFY=NEVER")

        evil = "Subject: \xff--\nX: --AAA/mx.test.example--\n\n--AAA/mx.test.example--\nContent-Type: text/html\n\n\xfe\x01\n"
        send(router, "s@box.test", ["x@fail.test"], evil, " ENVID=a+0D+0Ab", " ORCPT=rfc822;x+0Ay@fail.test")
        send(router, "s@box.test", ["x@fail.test"], evil, " ENVID=ok+2B", " ORCPT=rfc822;x@fail.test")
        m = mails(router)
        shape = [[p.get_content_type() for p in x.get_payload()] for x in m if x.is_multipart()]
        tap.ok(m and all(s == ["text/plain", "message/delivery-status", "message/rfc822"] for s in shape) and len(shape) == len(m),
               "N-285 hostile text leaves a valid multipart/report", shape)
        bounds = {x.get_boundary() for x in m}
        tap.eq(len(bounds), len(m), "N-285 with a boundary of its own each time")

        r, last = send(router, "s@box.test", ["known@box.test"], "".join("Received: from a by b; x\n" for _ in range(5)) + "Subject: loop\n\nx\n")
        tap.ok(last.startswith("554 5.4.0"), "N-289 too many hops: refused", last)
        tap.ok(router.queue_is_empty() and not mails(router), "N-289 nothing goes round")

        _, last = send(router, "s@box.test", ["big@box.test"])
        tap.ok(last.startswith("451 4.6.0"), "N-290 an alias of more members than virtual_alias_expansion_limit", last)
        _, last = send(router, "s@box.test", ["r1@box.test"])
        tap.ok(last.startswith("451 4.6.0"), "N-290 aliases nested deeper than virtual_alias_recursion_limit", last)
        tap.ok(not mails(router), "N-290 nothing was accepted")

        at = len(router.log())
        for i in range(50):
            router.command("postqueue", "-f")
        tap.ok(len(re.findall("queue active", router.log()[at:])) == 0 and router.queue_is_empty(), "N-292 fifty flushes of an empty queue do nothing")
    return tap.done()


sys.exit(main())
