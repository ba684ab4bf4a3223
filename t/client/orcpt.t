#!/usr/bin/env python3
"""orcpt.t: ORCPT as it came in and as it goes out, to servers with and without SMTPUTF8 (N-062 N-063; RFC 3461, RFC 6533)."""
import os
import re
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from instance import Client, Instance, Tap, wait_for               # noqa: E402

LIB = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib")
CASES = [       # what is sent; MAIL parameters; ORCPT to a server without SMTPUTF8, and to one with
    ("rfc822;a+2Bb@x.test", "", "rfc822;a+2Bb@x.test", None),
    ("rfc822;a+2bb+3Dc@x.test", "", "rfc822;a+2Bb+3Dc@x.test", None),
    ("rfc822;plain@x.test", "", "rfc822;plain@x.test", None),
    ("x400;/A+20B/", "", "x400;/A+20B/", None),
    ("utf-8;\\x{E9}t\\x{E9}@x.test", "", "utf-8;\\x{E9}t\\x{E9}@x.test", None),
    ("UTF-8;\xe9@x.test", " SMTPUTF8", "UTF-8;\\x{E9}@x.test", "UTF-8;\xe9@x.test"),
    ("utf-8;\u65e5+2B\U0001f600@x.test", " SMTPUTF8", "utf-8;\\x{65E5}\\x{2B}\\x{1F600}@x.test", "utf-8;\u65e5\\x{2B}\U0001f600@x.test"),
    ("utf-8;a\\x{}b\\x{zz@x.test", "", "utf-8;a\\x{5C}x{}b\\x{5C}x{zz@x.test", None),
]
BAD = ["utf-8;\xff@x.test", "rfc822;a+2@x.test", "rfc822;a+b@x.test", "rfc822;a=b@x.test", "rfc822;+00"]
tap = Tap()


def sink(name, ehlo):
    p = subprocess.Popen([sys.executable, LIB + "/sink.py", "--listen", "127.0.0.1:0", "--log", router.dir + "/" + name, "--ehlo", ehlo],
                         stdout=subprocess.PIPE, text=True)
    return p, int(p.stdout.readline().split()[1])


def orcpt(name, n):
    """What the n-th RCPT of a sink's log had."""
    found = re.findall(r"^C RCPT TO:<[^>]*>(?: ORCPT=(\S*))?", open(router.dir + "/" + name, encoding="utf-8", errors="surrogateescape").read(), re.M)
    return found[n].encode("latin-1").decode() if len(found) > n else None      # the sink writes each byte as a character


router = Instance("smtputf8_enable = yes\nsmtputf8_autodetect_classes = sendmail, verify\n")
sinks = [sink("plain", "8BITMIME,DSN,PIPELINING"), sink("intl", "8BITMIME,DSN,PIPELINING,SMTPUTF8")]
router.write("main.cf", open(router.etc + "/main.cf").read() + "transport_maps = inline:{{plain.test=smtp:[127.0.0.1]:%d},{intl.test=smtp:[127.0.0.1]:%d}}\n" %
             (sinks[0][1], sinks[1][1]))
try:
    with router:
        c = Client(router.port)
        c.cmd("EHLO client.example")

        def send(to, text, mail):
            c.cmd("MAIL FROM:<s@client.example>" + mail)
            r = c.cmd(("RCPT TO:<%s> ORCPT=%s" % (to, text)).encode("utf-8").decode("latin-1"))
            if r[:3] == "250":
                c.cmd("DATA")
                r = c.cmd("Subject: x\r\n\r\nx\r\n.")
            else:
                c.cmd("RSET")
            return r
        for n, (text, mail, want, want8) in enumerate(CASES):
            for name, w in (("plain", want), ("intl", want8)):
                if w is None:
                    continue
                r = send("u@%s.test" % name, text, mail)
                if r[:3] != "250":
                    tap.ok(False, "N-062 %s is taken" % ascii(text), r)
                    continue
                qid = r.split()[-1]
                router.wait_log("%s: removed" % qid)
                got = orcpt(name, sum(1 for l in open(router.dir + "/" + name, errors="replace") if l.startswith("C RCPT")) - 1)
                tap.eq(got, w, "%s %s to the %s server" % ("N-063" if "utf-8" in text.lower() else "N-062", ascii(text), name))
        for text in BAD:
            c.cmd("MAIL FROM:<s@client.example>")
            r = c.cmd("RCPT TO:<u@plain.test> ORCPT=" + text)
            tap.ok(r.startswith(("501 5.5.4", "500 5.5.2")), "N-062 N-063 %s is refused" % ascii(text), r)
            c.cmd("RSET")
        raw = open(router.dir + "/plain", "rb").read()
        tap.ok(not [l for l in raw.split(b"\n") if l.startswith(b"C ") and max(l) > 127], "N-063 no raw byte above 127 in any command", raw[-500:])
finally:
    for p, port in sinks:
        p.terminate()
sys.exit(tap.done())
