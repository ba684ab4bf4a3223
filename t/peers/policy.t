#!/usr/bin/env python3
"""policy.t: policy servers from Debian: postgrey on an inet and on a unix socket, policyd-spf by way of spawn(8)."""
import os
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from instance import Client, Instance, Tap, dnsd, free_port, own_network, wait_for    # noqa: E402

GREY, GREY_UNIX, SPF = free_port(), free_port(), free_port()
MAIN = """
smtpd_authorized_xclient_hosts = 127.0.0.0/8
smtpd_recipient_restrictions = reject_unauth_destination
mydestination = test.example
local_transport = local:
defer_transports = local
smtpd_policy_service_retry_delay = 1s
"""
MASTER = """
127.0.0.1:%d inet n - n - - smtpd -o smtpd_recipient_restrictions=reject_unauth_destination,check_policy_service,inet:127.0.0.1:@GREY@
127.0.0.1:%d inet n - n - - smtpd -o smtpd_recipient_restrictions=reject_unauth_destination,check_policy_service,unix:@DIR@/grey/sock
127.0.0.1:%d inet n - n - - smtpd -o smtpd_recipient_restrictions=reject_unauth_destination,check_policy_service,unix:private/spf
spf unix - n n - 0 spawn user=nobody argv=/usr/bin/policyd-spf @DIR@/spf.conf
""" % (GREY, GREY_UNIX, SPF)
SPF_CONF = """
debugLevel = 1
TestOnly = 1
HELO_reject = Fail
Mail_From_reject = Fail
PermError_reject = False
TempError_Defer = True
skip_addresses = 192.0.2.99
Header_Type = SPF
"""
tap = Tap()


def rcpt(port, sender, addr, helo="client.example", rcpt_to="a@test.example"):
    """The replies to RCPT and, when that was taken, to DATA and the message."""
    c = Client(port)
    for line in ("XCLIENT NAME=client.example ADDR=" + addr, "EHLO " + helo, "MAIL FROM:<%s>" % sender):
        c.cmd(line)
    r = c.cmd("RCPT TO:<%s>" % rcpt_to)
    c.quit()
    return r


def postgrey(inst, *where):
    db = inst.dir + "/grey/db-" + where[0].strip("-")[:4]
    os.mkdir(db)
    os.chmod(db, 0o777)
    p = subprocess.Popen(["postgrey", where[0], "--dbdir=" + db, "--delay=1", "--user=" + inst.owner, "--group=nogroup", "--auto-whitelist-clients=0",
                          "--greylist-text=Greylisted, come back", "--pidfile=%s/pid" % db], stdout=subprocess.DEVNULL, stderr=open(db + ".err", "w"), env=dict(os.environ, PATH=os.environ["PATH"] + ":/usr/sbin"))
    return p


def grey(inst, port, name):
    first = wait_for("an answer of postgrey", lambda: (lambda r: r if "4.3.5" not in r else None)(rcpt(port, "s@x.example", "198.51.100.7")))
    tap.ok(first.startswith("450 4.2.0 <a@test.example>: Recipient address rejected: Greylisted, come back"), "postgrey, %s: the first attempt waits" % name, first)
    again = wait_for("greylisting's delay", lambda: (lambda r: r if r.startswith("250") else None)(rcpt(port, "s@x.example", "198.51.100.7")), pause=0.3)
    tap.ok(again.startswith("250"), "postgrey, %s: the second is taken" % name, again)
    other = rcpt(port, "other@x.example", "203.0.113.7")
    tap.ok(other.startswith("450 4.2.0"), "postgrey, %s: somebody else waits" % name, other)


def message(inst, port, sender, addr, helo):
    c = Client(port)
    c.cmd("XCLIENT NAME=client.example ADDR=" + addr)
    r = c.send(sender, ["a@test.example"], "Subject: x\n\nbody\n", helo)
    c.quit()
    return r


ZONE = """
good.test TXT "v=spf1 ip4:198.51.100.0/28 -all"
soft.test TXT "v=spf1 ip4:198.51.100.0/28 ~all"
client.example A 198.51.100.7
"""


def main():
    if os.geteuid() != 0:
        print("1..0 # SKIP needs root: a network namespace")
        return 0
    own_network(__file__)           # policyd-spf asks the resolver of /etc/resolv.conf
    inst = Instance(MAIN, MASTER.replace("@GREY@", str(free_port())))
    grey_port = [l for l in open(inst.etc + "/master.cf") if "check_policy_service,inet:" in l][0].split("inet:127.0.0.1:")[1].strip()
    os.mkdir(inst.dir + "/grey")
    os.chmod(inst.dir + "/grey", 0o777)
    open(inst.dir + "/spf.conf", "w").write(SPF_CONF)
    procs = [dnsd(inst.dir, ZONE), postgrey(inst, "--inet=127.0.0.1:" + grey_port), postgrey(inst, "--unix=%s/grey/sock" % inst.dir)]
    try:
        with inst:
            wait_for("postgrey's socket", lambda: os.path.exists(inst.dir + "/grey/sock"))
            os.chmod(inst.dir + "/grey/sock", 0o666)
            grey(inst, GREY, "inet")
            grey(inst, GREY_UNIX, "unix")
            spf(inst)
            down(inst, procs)
    finally:
        for p in procs:
            p.terminate()
            p.wait()
    return tap.done()


def spf(inst):
    r = rcpt(SPF, "s@good.test", "198.51.100.7")
    tap.ok(r.startswith("250"), "policyd-spf by spawn(8): a sender's own client passes", r)
    r = rcpt(SPF, "s@good.test", "203.0.113.7")
    tap.ok(r.startswith("550 5.7.23 <a@test.example>: Recipient address rejected: Message rejected due to: SPF fail"), "policyd-spf: a stranger's does not", r)
    r = message(inst, SPF, "s@soft.test", "203.0.113.7", "client.example")
    tap.ok("queued as" in r, "policyd-spf: a soft failure is taken", r)
    text = wait_for("message", lambda: inst.command("postcat", "-q", r.split()[-1]).stdout)
    tap.ok("Received-SPF: Softfail" in text, "... with the header that it asks to prepend", text[-1500:])


def down(inst, procs):
    procs[0].terminate()
    procs[0].wait()
    r = rcpt(SPF, "s@other.test", "203.0.113.7")
    tap.ok(r.startswith("450 4.7.24 <a@test.example>: Recipient address rejected: Message deferred due to: SPF Temporary Error"), "policyd-spf: DNS does not answer", r)
    for p in procs[1:]:
        p.terminate()
        p.wait()
    for port, name in ((GREY, "inet"), (GREY_UNIX, "unix")):
        r = rcpt(port, "s@x.example", "198.51.100.7")
        tap.ok(r.startswith("451 4.3.5 <a@test.example>: Recipient address rejected: Server configuration problem"), "N-229 postgrey is gone, %s: 451" % name, r)


sys.exit(main())
