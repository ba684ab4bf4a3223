#!/usr/bin/env python3
"""relaysafety.t: N-138: a configuration that would relay for anyone does not start, and says why; one service of it takes no mail."""
import os
import socket
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from instance import Client, Instance, Tap, free_port                            # noqa: E402

WORDS = "in parameter smtpd_relay_restrictions or smtpd_recipient_restrictions, specify at least one working instance of: " \
        "reject_unauth_destination, defer_unauth_destination, reject, defer, defer_if_permit or check_relay_domains"
UNSAFE = {
    "no restriction at all": "smtpd_relay_restrictions =\nsmtpd_recipient_restrictions =\n",
    "only permissions": "smtpd_relay_restrictions = permit_mynetworks, permit_sasl_authenticated\n",
    "an access table": "smtpd_relay_restrictions = check_client_access inline:{1.2.3.4=REJECT}\n",
    "a policy server": "smtpd_relay_restrictions = check_policy_service inet:127.0.0.1:9\n",
    "a guard that only warns": "smtpd_relay_restrictions = warn_if_reject reject_unauth_destination\n",
    "a guard in a class that nothing names": "smtpd_restriction_classes = c\nc = reject\nsmtpd_relay_restrictions = permit_mynetworks\n",
    "a guard in another list": "smtpd_relay_restrictions =\nsmtpd_client_restrictions = permit_mynetworks, reject\n",
    "permit_mx_backup": "smtpd_relay_restrictions = permit_mynetworks, permit_mx_backup\n",
}
SAFE = {
    "a guard in a class": "smtpd_restriction_classes = c\nc = reject_unauth_destination\nsmtpd_relay_restrictions = permit_mynetworks, c\n",
    "a guard in the recipient list": "smtpd_relay_restrictions =\nsmtpd_recipient_restrictions = permit_mynetworks, DEFER\n",
    "a guard by its old name": "smtpd_relay_restrictions =\nsmtpd_recipient_restrictions = check_relay_domains\n",
}
tap = Tap()


def check(main):
    inst = Instance(main)
    p = inst.command("postfix", "check")
    text = p.stderr + inst.log()
    inst.stop()
    return p.returncode, text


def one_service():
    port = free_port()
    inst = Instance("", "127.0.0.1:%d inet n - n - - smtpd -o smtpd_relay_restrictions=\n" % port)
    with inst:
        tap.ok(inst.logged("takes no mail: " + WORDS), "one service of several: the start says so", inst.log())
        tap.ok(inst.wait_log("fatal: " + WORDS), "... and the server's log, in Postfix's words")
        s = socket.create_connection(("127.0.0.1", port), 5)
        s.settimeout(0.3)
        try:
            got = s.recv(100)
        except socket.timeout:
            got = b""
        tap.eq(got, b"", "... nobody is greeted there")
        s.close()
        c = Client(inst.port)
        tap.ok(c.banner.startswith("220"), "... while the others serve", c.banner)
        c.quit()
        inst.write("main.cf", open(inst.etc + "/main.cf").read() + "smtpd_relay_restrictions =\n")
        p = inst.command("postfix", "reload")
        tap.ok(p.returncode != 0 and WORDS in p.stderr + inst.log(), "a reload to a configuration without any guard is refused", p.stderr)
        c = Client(inst.port)
        c.cmd("EHLO a.example")
        c.cmd("MAIL FROM:<a@x.example>")
        tap.ok(c.banner.startswith("220"), "... and the old one stays", c.banner)
        c.quit()


def main():
    for name, text in UNSAFE.items():
        code, said = check(text)
        tap.ok(code != 0 and ": " + WORDS in said, "refused: " + name, said)
    for name, text in SAFE.items():
        code, said = check(text)
        tap.ok(code == 0 and WORDS not in said, "fine: " + name, said)
    inst = Instance(UNSAFE["only permissions"])
    p = inst.command("postfix", "start")
    tap.ok(p.returncode != 0 and not inst.master_pid(), "it does not start", p.stderr)
    inst.stop()
    one_service()
    return tap.done()


sys.exit(main())
