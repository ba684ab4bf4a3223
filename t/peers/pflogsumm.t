#!/usr/bin/env python3
"""pflogsumm from Debian counts the same for the same traffic in Postfix's log and in ours: mail that is received, delivered, relayed, forwarded,
deferred, bounced, discarded, held, rejected at each stage and with each code, warned about, from clients and from sendmail(1).

The traffic is one case of the differential bench, which runs both; its logs are kept.  Bytes are near, not equal: queue ids are longer here, and Postfix
counts one byte more for each line."""
import difflib
import os
import re
import shutil
import subprocess
import sys
import tempfile

TOP = os.environ.get("TOP") or os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, TOP + "/t/lib")
from instance import INST, Tap  # noqa: E402

BENCH = os.environ.get("CONFORMANCE", TOP + "/../shared/conformance")
CASE = r"""title: traffic of each kind, for pflogsumm
ignore: dialog queue mail log
lint: ok

[main.cf]
mail_name = Postfix
smtpd_helo_required = yes
smtpd_client_restrictions = check_client_access inline:{192.0.2.67=REJECT}
smtpd_helo_restrictions = permit_mynetworks, check_helo_access inline:{bad.helo=REJECT}
smtpd_sender_restrictions = check_sender_access inline:{bad@client.test=REJECT later@client.test=DEFER hold@client.test=HOLD warn@client.test=WARN gone@client.test=DISCARD}
smtpd_recipient_restrictions = permit_mynetworks, reject_unauth_destination, reject_unverified_recipient
header_checks = regexp:@ETC@/checks
relay_domains = out.test
virtual_alias_maps = hash:@ETC@/both
transport_maps = inline:{out.test=smtp:[192.0.2.20] slow.test=smtp:[192.0.2.21]}
message_size_limit = 100000
minimal_backoff_time = 1h
smtpd_peername_lookup = yes
[file both]
both@conf.test alice@conf.test, far@out.test
[file checks]
/^Subject: spam/ REJECT
/^Subject: odd/ WARN
[aliases]
list: alice, bob, far@out.test
cmd: "|cat > /dev/null"
fail: "|exit 67"
[message big]
Subject: big

@BIG@
[message spam]
Subject: spam

x
[message odd]
Subject: odd

x
[sink o]
listen: 192.0.2.20:25
on rcpt ~nobody: 550 5.1.1 no such user
on rcpt ~busy: 450 4.2.1 later
on eod ~never: 554 5.7.1 not this
[sink slow]
listen: 192.0.2.21:25
on mail: 421 4.3.2 not now
[run]
msg to=alice@conf.test
msg to=alice@conf.test,bob@conf.test body=big
msg to=carol@conf.test
msg to=both@conf.test
msg to=far@out.test client=127.0.0.1
msg to=far@out.test,nobody@out.test client=127.0.0.1
msg to=busy@out.test client=127.0.0.1
msg to=x@slow.test,y@slow.test client=127.0.0.1
msg to=list@conf.test
msg to=cmd@conf.test
msg to=fail@conf.test
msg to=unknown@conf.test
msg to=other@elsewhere.test
msg from=bad@client.test
msg from=later@client.test
msg from=hold@client.test
msg from=warn@client.test
msg from=gone@client.test
msg from= to=alice@conf.test
msg body=spam
msg body=odd
msg helo=bad.helo
msg client=192.0.2.67
connect
C: MAIL FROM:<a@client.test>
C: EHLO client.test
C: MAIL FROM:<a@client.test> SIZE=999999
C: RCPT TO:<alice@conf.test>
quit
connect
C: EHLO client.test
C: MAIL FROM:<lost@client.test>
close
sh: printf 'Subject: local\n\nx\n' | sendmail -f alice bob@conf.test far@out.test
sh: printf 'Subject: local\n\nx\n' | sendmail -f alice nobody@conf.test
settle
sh: postsuper -H ALL
settle
"""


def kept_logs(where):
    """{side: path} of the two logs."""
    logs = {}
    for d, _, files in os.walk(where):
        for f in files:
            if f == "maillog":
                logs["ours" if ".iut." in d else "postfix"] = d + "/" + f
    return logs


def traffic(tmp):
    os.makedirs(tmp + "/cases/peers")
    with open(tmp + "/cases/peers/traffic.case", "w") as f:
        f.write(CASE.replace("@BIG@", "\n".join(["x" * 70] * 500)))
    p = subprocess.run([sys.executable, BENCH + "/run.py", "--iut", INST + "/sbin", "--cases", tmp + "/cases", "--keep", tmp + "/keep", "-v", "--retries", "0"],
                       stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    return kept_logs(tmp + "/keep"), p.stdout


BYTES = re.compile(r"^( *(?:\d+ )?) +(\d+)( +bytes | +\S+@| +from=<| +\d+ +\d+\.\d [smhd]| +\S+\.test$| +localhost$)")


def summary(path):
    """(lines, numbers of bytes): what pflogsumm says, without hours of the day and delays, and with N for each number of bytes."""
    p = subprocess.run(["pflogsumm", "--rej-add-from", "--verbose-msg-detail", path], capture_output=True, text=True)
    lines, sizes, hours = [], [], False
    for l in p.stdout.split("\n"):
        hours = bool(l.strip()) and (hours or "Per-Hour" in l)
        if "daemon started" not in l and not hours:
            lines.append(re.sub(r"\d+\.\d [smhd]\b", "T", BYTES.sub(lambda m: sizes.append(int(m.group(2))) or m.group(1) + " N" + m.group(3), l)))
    return lines, sizes, p.stderr


def compare(t, logs):
    for side in ("postfix", "ours"):
        if not t.ok(side in logs, "the log of " + side):
            return
    (a, a_sizes, a_err), (b, b_sizes, b_err) = summary(logs["postfix"]), summary(logs["ours"])
    t.eq((a_err, b_err), ("", ""), "pflogsumm understands both logs")
    for what in ("received", "delivered", "forwarded", "deferred", "bounced", "rejected", "reject warnings", "held", "discarded"):
        t.ok(any(re.search(r"[1-9]\d* +%s" % what, l) for l in a), "there was mail: " + what, "\n".join(a))
    diff = "\n".join(difflib.unified_diff(a, b, "postfix", "ours", lineterm="", n=1))
    t.ok(not diff, "all counts, reasons and names are equal (%d lines)" % len(a), diff)
    far = [(x, y) for x, y in zip(a_sizes, b_sizes) if abs(x - y) > 40 + x * 0.03]
    t.ok(len(a_sizes) == len(b_sizes) > 10 and not far, "%d numbers of bytes are near" % len(a_sizes), "%s\n%s" % (a_sizes, b_sizes))


if __name__ == "__main__":
    if os.geteuid() != 0 or not shutil.which("pflogsumm"):
        print("1..0 # SKIP needs root and pflogsumm")
        sys.exit(0)
    t = Tap()
    tmp = tempfile.mkdtemp()
    try:
        logs, out = traffic(tmp)
        compare(t, logs)
        if t.bad:
            print("".join("# %s\n" % l for l in out.split("\n")))
    finally:
        if not os.environ.get("KEEP"):
            shutil.rmtree(tmp)
    sys.exit(t.done())
