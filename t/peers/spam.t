#!/usr/bin/env python3
"""spam.t: SpamAssassin from Debian behind the classical script: content_filter, pipe(8), spamc, sendmail(1)."""
import os
import pwd
import re
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from instance import INST, Client, Instance, Tap, free_port, wait_for             # noqa: E402

ROOT = os.geteuid() == 0
USER = "games:mail" if ROOT else pwd.getpwuid(os.geteuid()).pw_name        # mail: the set-gid group of the instance; our sendmail is not installed set-gid here
GTUBE = "XJS*C4JDBQADN1.NSBN3*2IDNEN*GTUBE-STANDARD-ANTI-UBE-TEST-EMAIL*C.34X"
PORT = free_port()
MASTER = """
127.0.0.1:%d inet n - n - - smtpd -o content_filter=spam:dummy
spam unix - n n - 2 pipe flags=Rq user=%s null_sender= argv=@DIR@/spam.sh -f ${sender} -- ${recipient}
""" % (PORT, USER)
SCRIPT = """#!/bin/sh
umask 077
/usr/bin/spamc -U %(d)s/sa/sock -x -t 60 > %(d)s/out/$$ || { rm -f %(d)s/out/$$; echo the scanner is not there; exit 75; }
%(inst)s/sbin/sendmail -G -i "$@" < %(d)s/out/$$
status=$?
rm -f %(d)s/out/$$
exit $status
"""
tap = Tap()
inst = Instance("defer_transports = smtp\n", MASTER)


def send(body, *rcpts):
    c = Client(PORT)
    r = c.send("s@x.example", rcpts, "From: s@x.example\nTo: b@x.example\nSubject: hello\nDate: Thu, 01 Jan 2015 10:00:00 +0000\nMessage-Id: <%d@x.example>\n\n%s\n" % (id(body), body))
    c.quit()
    return r.split()[-1]


def scanned(qid, n):
    """The n-th message that came back."""
    wait_for("the filter", lambda: [l for l in inst.log().split("\n") if qid in l and "relay=spam" in l], 60)
    back = wait_for("the message back", lambda: (re.findall(r"pickup\[\d+\]: (\w+): uid=", inst.log()) + [None] * n)[n - 1])
    return wait_for("its text", lambda: inst.command("postcat", "-q", back).stdout)


def main():
    for x in ("sa", "out"):
        os.mkdir(inst.dir + "/" + x)
        os.chmod(inst.dir + "/" + x, 0o777)
    with open(inst.dir + "/spam.sh", "w") as f:
        f.write(SCRIPT % {"d": inst.dir, "inst": INST})
    os.chmod(inst.dir + "/spam.sh", 0o755)
    argv = ["/usr/sbin/spamd", "-L", "-x", "-m", "1", "--socketpath=" + inst.dir + "/sa/sock", "--socketmode=0666", "-s", "stderr", "-H", inst.dir + "/sa"]
    os.environ["PATH"] += ":/usr/sbin:/sbin"
    with inst:
        q = send("while the scanner is down", "b@x.example")
        line = wait_for("deferred", lambda: [l for l in inst.log().split("\n") if q in l and "status=" in l])[0]
        tap.ok("dsn=4.3.0, status=deferred (temporary failure. Command output: the scanner is not there" in line, "no scanner: the mail waits", line)
        inst.command("postsuper", "-d", q)
        p = subprocess.Popen(argv + (["-u", "games"] if ROOT else []), stdout=subprocess.DEVNULL, stderr=open(inst.dir + "/sa/err", "w"))
        try:
            wait_for("spamd", lambda: "server started" in open(inst.dir + "/sa/err").read() or p.poll() is not None, 60)
            text = scanned(send("an honest mail", "b@x.example", "c@x.example"), 1)
            tap.ok("X-Spam-Checker-Version: SpamAssassin" in text and "X-Spam-Flag: YES" not in text and "an honest mail" in text, "an honest mail is marked as scanned", text)
            tap.ok(text.count("recipient: ") >= 2 and "sender: s@x.example" in text, "with its envelope", text)
            text = scanned(send(GTUBE, "b@x.example"), 2)
            tap.ok("X-Spam-Flag: YES" in text, "spam is marked as such", text)
            tap.eq(len(re.findall("pickup\\[\\d+\\]: \\w+: uid=", inst.log())), 2, "nothing went through twice")
        finally:
            p.terminate()
            p.wait()
    return tap.done()


sys.exit(main())
