#!/usr/bin/env python3
"""opendkim.t: OpenDKIM from Debian as milter: one listener of ours signs, another one verifies."""
import os
import re
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from instance import Client, Instance, Tap, free_port, wait_for                   # noqa: E402

CONF = """
Socket unix:%(dir)s/dkim/%(name)s.sock
PidFile %(dir)s/dkim/%(name)s.pid
Mode %(mode)s
Domain signed.example
Selector s1
KeyFile %(dir)s/dkim/s1.private
TestPublicKeys %(dir)s/dkim/keys
InternalHosts %(dir)s/dkim/hosts.%(name)s
Syslog no
RequireSafeKeys no
AlwaysAddARHeader yes
AuthservID mx.test.example
"""
SIGN, VERIFY = free_port(), free_port()
MASTER = """
127.0.0.1:%d inet n - n - - smtpd -o smtpd_milters=unix:@DIR@/dkim/sign.sock
127.0.0.1:%d inet n - n - - smtpd -o smtpd_milters=unix:@DIR@/dkim/verify.sock
""" % (SIGN, VERIFY)
tap = Tap()
inst = Instance("smtpd_client_restrictions = check_client_access static:HOLD\n", MASTER)


def content(port, message):
    c = Client(port)
    r = c.send("a@signed.example", ["b@x.example"], message)
    c.quit()
    if "queued as" not in r:
        return r
    text = wait_for("message in the queue", lambda: inst.command("postcat", "-q", r.split()[-1]).stdout)
    return text.split("*** MESSAGE CONTENTS", 1)[1].split("***\n", 1)[1].split("*** HEADER EXTRACTED")[0]


def begin(name, mode):
    conf = inst.dir + "/dkim/%s.conf" % name
    with open(conf, "w") as f:
        f.write(CONF % {"dir": inst.dir, "name": name, "mode": mode})
    p = subprocess.Popen(["opendkim", "-f", "-x", conf], stdout=subprocess.DEVNULL, stderr=open(inst.dir + "/dkim/%s.err" % name, "w"))
    wait_for("opendkim " + name, lambda: os.path.exists(inst.dir + "/dkim/%s.sock" % name) or p.poll() is not None)
    if p.poll() is not None:
        raise RuntimeError(open(inst.dir + "/dkim/%s.err" % name).read())
    return p


def main():
    os.environ["PATH"] += ":/usr/sbin:/sbin"
    d = inst.dir + "/dkim"
    os.mkdir(d)
    os.chmod(d, 0o777)
    subprocess.run(["opendkim-genkey", "-D", d, "-d", "signed.example", "-s", "s1", "-b", "1024"], check=True, capture_output=True)
    key = "".join(re.findall(r'"([^"]*)"', open(d + "/s1.txt").read()))
    with open(d + "/keys", "w") as f:
        f.write("s1._domainkey.signed.example %s\n" % key)
    for name, host in (("sign", "127.0.0.1"), ("verify", "192.0.2.1")):
        with open(d + "/hosts." + name, "w") as f:
            f.write(host + "\n")
    old = os.umask(0)
    procs = [begin("sign", "s"), begin("verify", "v")]
    os.umask(old)
    try:
        with inst:
            message = "From: a@signed.example\nTo: b@x.example\nSubject: a  subject\n folded\nDate: Thu, 01 Jan 2015 10:00:00 +0000\nMessage-Id: <m@signed.example>\n\n" \
                      "line\n.dot\n\ntrailing blanks   \n\n\n"
            signed = content(SIGN, message)
            tap.ok("DKIM-Signature: v=1;" in signed and "d=signed.example; s=s1;" in signed, "a message is signed", signed)
            part = signed[signed.index("DKIM-Signature:"):]
            verified = content(VERIFY, part)
            tap.ok(re.search(r"Authentication-Results: mx\.test\.example;\s+dkim=pass", verified), "and its signature holds", verified)
            broken = content(VERIFY, part.replace("\nline\n", "\nlime\n"))
            tap.ok(re.search(r"Authentication-Results: mx\.test\.example;\s+dkim=fail", broken), "a changed one's does not", broken)
            plain = content(VERIFY, message)
            tap.ok(re.search(r"Authentication-Results: mx\.test\.example;\s+dkim=none", plain), "one without is said to have none", plain)
    finally:
        for p in procs:
            p.kill()
            p.wait()
    return tap.done()


sys.exit(main())
