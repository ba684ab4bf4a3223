#!/usr/bin/env python3
"""libmilter.t: a filter built on libmilter (t/peers/libmilter_all.c): every callback, every answer, every modification."""
import os
import re
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from instance import TOP, Client, Instance, Tap, wait_for                         # noqa: E402

BUILD = os.environ.get("PH_BUILD", os.environ.get("BUILD", TOP + "/build"))
MESSAGE = "From: a@x.example\nX-Gone: yes\nSubject: original\nX-Do: %s\n\nbody line\n"
MAIN = """
smtpd_milters = unix:@DIR@/sock/m
defer_transports = smtp
"""
tap = Tap()
inst = Instance(MAIN)


def log():
    try:
        return open(inst.dir + "/sock/log").read().split("\n")[:-1]
    except OSError:
        return []


def send(sender="a@x.example", todo="nothing", rcpts=("b@x.example", "c@x.example")):
    """The last reply, the message's queue id or None, and what the filter saw."""
    seen = len(log())
    c = Client(inst.port)
    r = c.send(sender, rcpts, MESSAGE % todo)
    c.quit()
    if "close" not in log()[seen:]:
        wait_for("close", lambda: "close" in log()[seen:])
    return r, r.split()[-1] if "queued as" in r else None, log()[seen:]


def stored(qid):
    text = wait_for("message in the queue", lambda: inst.command("postcat", "-q", qid).stdout)
    env, content = text.split("*** MESSAGE CONTENTS", 1)
    return env, content.split("***\n", 1)[1].split("*** HEADER EXTRACTED")[0]


def callbacks():
    r, qid, seen = send()
    want = ["negotiate", "connect", "helo client.example", "mail <a@x.example> - addr=a@x.example", "rcpt <b@x.example> addr=b@x.example host=(null)",
            "rcpt <c@x.example> addr=c@x.example host=(null)", "data", "header From: a@x.example", "header X-Gone: yes", "header Subject: original", "header X-Do: nothing", "eoh",
            "eom body=11 i=set", "close"]
    got = [next((s for s in seen if s.startswith(w)), None) for w in want]
    tap.ok(r.startswith("250") and all(got) and [seen.index(g) for g in got] == sorted(seen.index(g) for g in got), "every callback, in order; SETSYMLIST is honoured",
           "\n".join(seen))
    seen = len(log())
    c = Client(inst.port)
    for x in ("EHLO x.example", "WHATEVER it is", "MAIL FROM:<a@x.example> SIZE=10", "RSET"):
        c.cmd(x)
    c.quit()
    wait_for("close", lambda: "close" in log()[seen:])
    new = log()[seen:]
    tap.ok("unknown WHATEVER it is" in new and "abort" in new and "mail <a@x.example> SIZE=10 addr=a@x.example" in new, "unknown commands, parameters, abort", "\n".join(new))


def answers():
    for stage in ("mail", "rcpt", "data", "header", "eoh", "body", "eom"):
        for what, code in (("reject", "5"), ("tempfail", "4"), ("reply", "554 5.7.9 a reply 100% mine"), ("lines", "451-4.7.9 one\n451-4.7.9 two\n451 4.7.9 three"),
                           ("discard", "250"), ("accept", "250")):
            r, qid, seen = send("%s-%s@x.example" % (stage, what))
            fine = r.startswith(code)
            if what == "accept" and stage != "eom":
                fine = fine and not any(s.startswith("eom") for s in seen)
            if what == "discard":
                fine = fine and inst.logged("milter-discard")
            tap.ok(fine, "%s at %s" % (what, stage), r + "\n" + "\n".join(seen))
    r, qid, seen = send("body-skip@x.example")
    tap.ok(r.startswith("250") and any(s.startswith("eom") for s in seen), "skip the body", seen)


def edits():
    r, qid, seen = send(todo="add ins chg del body progress")
    env, content = stored(qid)
    head, body = content.split("\n\n", 1)
    tap.ok("\nX-Added: by the filter\n\tfolded" in head and "X-First: inserted" in head and "\nSubject: changed" in head and "original" not in head and "X-Gone" not in head,
           "headers are added, inserted, changed and removed", content)
    tap.eq(body, "a new body\n.\nwith a dot\n", "the body is replaced")
    r, qid, seen = send(todo="rcpt rcptpar delrcpt from")
    env, content = stored(qid)
    rcpts = set(re.findall(r"^(?:recipient|done_recipient): (\S+)$", env, re.M))
    tap.ok({"more@x.example", "par@x.example", "c@x.example"} <= rcpts and "sender: new@x.example" in env and "b@x.example" not in rcpts,
           "recipients are added and removed, the sender is changed", env)
    r, qid, seen = send(todo="hold")
    tap.ok(r.startswith("250") and inst.wait_log("milter-hold: END-OF-MESSAGE") and qid + "!" in wait_for("held", lambda: inst.command("postqueue", "-p").stdout),
           "quarantine")


def main():
    os.mkdir(inst.dir + "/sock")
    os.chmod(inst.dir + "/sock", 0o777)
    os.umask(0)
    p = subprocess.Popen([BUILD + "/t/peers/libmilter_all", "unix:" + inst.dir + "/sock/m", inst.dir + "/sock/log"])
    try:
        wait_for("the filter", lambda: "ready" in log() and os.path.exists(inst.dir + "/sock/m"))
        os.umask(0o022)
        with inst:
            callbacks()
            answers()
            edits()
    finally:
        p.kill()
        p.wait()
    return tap.done()


sys.exit(main())
