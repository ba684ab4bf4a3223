#!/usr/bin/env python3
"""hostile.t: what senders and servers choose, in lists and JSON (N-335 N-336).

Senders, recipients and reasons with terminal escapes, line ends, quotes, invalid UTF-8, U+2028, wide characters, 2 KB of text: each line of
postqueue -p keeps its shape and has no control byte; each line of postqueue -j, postmap -jq, postmap -js and postconf -j is JSON for two parsers."""
import json
import os
import re
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from instance import Client, Instance, Tap, wait_for               # noqa: E402

LIB = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib")
SENDERS = [b's@client.example', b'"a\\"b\\\\c <x@y> "@client.example', b'"x -- 9 Kbytes in 9 Requests."@client.example', b'"(reason)"@client.example',
           "\u65e5\u672c\u2028\u202e@client.example".encode(), b"", b'"' + b"y" * 60 + b'"@client.example']
RCPTS = [b'"q\\"uo\\\\te"@next.test', b'plain@next.test', "\u00e9\u2028@next.test".encode(), b'"{},[]"@next.test']
REASON = rb"450 4.2.1 \x1b]0;owned\x07\x1b[2J \xff\xfe\xe2\x80\xa8 \xed\xa0\x80 \x7f '\"\\ "
tap = Tap()


def two_parsers(text, what):
    """Each line is an object, and both see the same."""
    ours = [json.loads(l) for l in text.decode("utf-8").split("\n") if l]
    perl = subprocess.run(["perl", "-MJSON::PP", "-e", "binmode STDIN; my $j = JSON::PP->new->utf8; my $c = JSON::PP->new->canonical->ascii; "
                           "while (<STDIN>) { print $c->encode($j->decode($_)), \"\\n\" }"], input=text, capture_output=True)
    theirs = [json.loads(l) for l in perl.stdout.decode().split("\n") if l]
    tap.ok(perl.returncode == 0 and ours == theirs and ours, "N-336 %s: strict JSON in each of %d lines" % (what, len(ours)), (perl.stderr, text[:1000]))
    tap.ok(not re.search(rb"[\x00-\x09\x0b-\x1f\x7f]", text), "N-336 %s: no control byte" % what, text[:1000])
    return ours


router = Instance("smtputf8_enable = yes\nstrict_mailbox_ownership = yes\nminimal_backoff_time = 1h\nmaximal_backoff_time = 1h\nqueue_run_delay = 1h\n"
                  "smtp_destination_concurrency_failed_cohort_limit = 0\ndefault_destination_concurrency_failed_cohort_limit = 0\n")
sink = subprocess.Popen([sys.executable, LIB + "/sink.py", "--listen", "127.0.0.1:0", "--ehlo", "8BITMIME,SMTPUTF8",
                         "rcpt=!raw " + REASON.decode("ascii") + "z" * 1900 + r"\r\n"], stdout=subprocess.PIPE, text=True)
port = int(sink.stdout.readline().split()[1])
router.write("main.cf", open(router.etc + "/main.cf").read() + "transport_maps = inline:{next.test=smtp:[127.0.0.1]:%d}\n" % port)
try:
    with router:
        taken = 0
        for i, s in enumerate(SENDERS):
            c = Client(router.port)
            c.cmd("EHLO client.example")
            utf8 = " SMTPUTF8"
            r = [c.cmd(("MAIL FROM:<%s>%s" % (s.decode("latin-1"), utf8)))]
            r += [c.cmd("RCPT TO:<%s>" % x.decode("latin-1")) for x in RCPTS]
            r += [c.cmd("DATA"), c.cmd("Subject: x\r\n\r\nx\r\n.")]
            tap.ok("queued as" in r[-1], "sender %d is taken" % i, r)
            taken += "queued as" in r[-1]
            c.s.close()
        wait_for("deferral of all", lambda: len(re.findall("status=deferred", router.log())) >= taken * len(RCPTS))
        run = lambda *a, **k: subprocess.run([os.environ.get("INST", "build/inst") + "/sbin/" + a[0], "-c", router.etc, *a[1:]], env=router.env, capture_output=True, **k).stdout  # noqa: E731
        text = run("postqueue", "-p")
        tap.ok(not re.search(rb"[\x00-\x09\x0b-\x1f\x7f]", text), "N-335 postqueue -p: no control byte", text[:2000])
        try:
            lines, valid = text.decode("utf-8").split("\n"), True
        except UnicodeDecodeError:
            lines, valid = text.decode("utf-8", "replace").split("\n"), False
        tap.ok(valid, "N-335 it is UTF-8", text[:2000])
        heads = [l for l in lines if re.match(r"[0-9A-Za-z]{6,}[*!#]? +\d+ \w{3} \w{3} +\d+ \d\d:\d\d:\d\d +\S", l)]
        tap.eq(len(heads), taken, "N-335 a message is one line, nobody forges another")
        shapes = [l for l in lines if l and l not in heads and not l.startswith(("-Queue ID-", " " * 40, "-- ")) and not re.match(r" *\(", l)]
        tap.eq(shapes, [], "N-335 every other line is a reason, a recipient, the head or the sum")
        tap.eq([l for l in lines if l.startswith("-- ")], ["-- %d Kbytes in %d Request%s." % (int(lines[-2].split()[1]), taken, "s" if taken > 1 else "")],
               "N-335 and there is one sum")
        tap.ok(max(len(l) for l in lines) < 4000, "N-335 a long reason is cut", max(len(l) for l in lines))
        got = two_parsers(run("postqueue", "-j"), "postqueue -j")
        want = {s.decode() for s in SENDERS}
        tap.eq(len(got), taken, "N-336 one line for each message")
        tap.ok(len({m["sender"] for m in got}) == len(want), "N-336 senders stay apart", [m["sender"] for m in got])
        tap.ok(all(len(m["recipients"]) == len(RCPTS) for m in got), "N-336 all recipients", got[0])
        values = ['say "x" \\ \x07\x1b[2J', "\u2028\u2029\u202e", "\x7f\u0085", "a" * 5000]
        with open(router.etc + "/t", "w", encoding="utf-8") as f:
            f.write("".join("k%d\t%s\n" % (i, v) for i, v in enumerate(values)))
        with open(router.etc + "/t", "ab") as f:
            f.write(b"bad\t\xff\xfe\xed\xa0\x80\n")
        subprocess.run([os.environ.get("INST", "build/inst") + "/sbin/postmap", "-c", router.etc, "hash:" + router.etc + "/t"], env=router.env, check=True)
        two_parsers(run("postmap", "-js", "hash:" + router.etc + "/t"), "postmap -js")
        for i in range(len(values)):
            two_parsers(run("postmap", "-jq", "k%d" % i, "hash:" + router.etc + "/t"), "postmap -jq, value %d" % i)
        with open(router.etc + "/main.cf", "ab") as f:
            f.write(b'smtpd_banner = "\\" \x07\x1b[2J \xe2\x80\xa8 \xff\x7f ' + b"x" * 3000 + b"\n")
        out = run("postconf", "-j", "smtpd_banner", "myhostname")
        tap.ok(b"smtpd_banner" in out, "N-336 postconf -j shows the parameter", out[:500])
        two_parsers(out, "postconf -j")
finally:
    sink.terminate()
sys.exit(tap.done())
