#!/usr/bin/env python3
"""posthouse explain: why as well as what; and that it says what a session says."""
import json
import os
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from instance import INST, Client, Instance, Tap

MAIN = """
mydestination = local.test
relay_domains = relay.test
relay_recipient_maps = texthash:@ETC@/relay
virtual_alias_maps = texthash:@ETC@/valias
canonical_maps = inline:{{old@out.test = new@out.test}}
transport_maps = texthash:@ETC@/transport
smtpd_authorized_xclient_hosts = 127.0.0.1
header_checks = regexp:{{/^Subject: .*offer/ REJECT no offers}}
strict = check_helo_access inline:{{bad.helo = 450 4.7.0 later}}
smtpd_restriction_classes = strict
smtpd_recipient_restrictions =
    check_sender_access texthash:@ETC@/access
    check_client_access cidr:{{192.0.2.66 REJECT}}
    check_recipient_access inline:{{policy@relay.test = strict}}
    check_recipient_access inline:{{ask@relay.test = greylist}}
notify_classes =
smtpd_relay_restrictions = permit_mynetworks, reject_unauth_destination
"""
FILES = {
    "relay": "known@relay.test x\npolicy@relay.test x\n",
    "valias": "# a comment\n\nteam@relay.test\n    known@relay.test,\n    else@out.test\nold@relay.test old@out.test\n",
    "transport": "relay.test smtp:[10.9.9.9]\n",
    "access": "spam.test REJECT no spam\nhold@x.test HOLD look at it\nmove@x.test REDIRECT boss@relay.test\nown@x.test FILTER smtp:[10.1.1.1]\n",
}

# Addresses that are not simply local@domain; as recipient and as sender.
ODD = ("postmaster", "known", "KNOWN@Relay.TEST", '"known"@relay.test', '"kn own"@relay.test', "known%relay.test@relay.test", "x%foreign.test@relay.test", "foreign.test!x@relay.test",
       "@a.test,@b.test:known@relay.test", "@relay.test", '""@relay.test', "known@[192.0.2.1]", "known@[nonsense]", "known@relay..test", "known@", "-known@relay.test", "known@relay.test>",
       "known@relay.test.", "x" * 300 + "@relay.test", "a b@relay.test", "<known@relay.test", "nobody@local.test", "double-bounce@local.test")

t = Tap()


def posthouse(i, *args):
    return subprocess.run([INST + "/sbin/posthouse", *args], env=i.env, capture_output=True, text=True, timeout=60)


def explain(i, sender, *rcpts, client="192.0.2.9", helo="mail.client.test", more=()):
    r = posthouse(i, "explain", "-c", i.etc, "--json", "--client", client, "--name", "unknown", "--helo", helo, *more, "--", sender, *rcpts)
    try:
        return r.returncode, json.loads(r.stdout)["steps"], r
    except ValueError:
        t.ok(False, "output is JSON", r.stdout + r.stderr)
        return r.returncode, [], r


def find(steps, **want):
    return [s for s in steps if all(s.get(k) == v for k, v in want.items())]


def session(i, sender, rcpt, client, helo):
    """The reply to RCPT of a real session from that address."""
    c = Client(i.port)
    c.cmd("EHLO " + helo)
    c.cmd("XCLIENT NAME=[UNAVAILABLE] ADDR=" + client)
    c.cmd("EHLO " + helo)
    r = c.cmd("MAIL FROM:<%s>" % sender)
    if r.startswith("250"):
        r = c.cmd("RCPT TO:<%s>" % rcpt)
    c.s.close()
    return r


with Instance(MAIN, files=FILES) as i:
    rc, steps, r = explain(i, "a@spam.test", "known@relay.test")
    t.eq(rc, 1, "refused: exit status 1")
    line = [n for n, l in enumerate(open(i.etc + "/main.cf"), 1) if l.startswith("smtpd_recipient_restrictions")][0]
    s = find(steps, step="table", key="spam.test")
    t.ok(s and s[0]["answer"] == "REJECT no spam" and s[0]["where"] == "%s/main.cf:%d, %s/access:1" % (i.etc, line, i.etc)
         and s[0]["parameter"] == "smtpd_recipient_restrictions", "the table, the key, the answer, and the line of both files", s)
    t.ok(find(steps, step="verdict", key="known@relay.test")[0]["answer"].startswith("554 5.7.1 <a@spam.test>: Sender address rejected: no spam"), "the verdict", steps[-1:])
    t.ok("reject: RCPT" in r.stderr, "the log line goes to standard error", r.stderr)
    t.ok(not find(steps, stage="RESOLVE"), "nothing is resolved behind a refusal")

    rc, steps, r = explain(i, "hold@x.test", "team@relay.test")
    t.eq(rc, 0, "accepted: exit status 0")
    t.ok(find(steps, step="action", name="HOLD"), "an action")
    t.eq([s["answer"] for s in find(steps, step="rewrite", key="team@relay.test")], ["known@relay.test", "else@out.test"], "an alias with two members")
    s = find(steps, stage="CLEANUP", step="table", key="team@relay.test")
    t.ok(s and s[-1]["where"].endswith("valias:3") and s[-1]["parameter"] == "virtual_alias_maps", "... and its line, behind comments", s)
    t.eq([s["answer"].split(" recipient")[0] for s in find(steps, step="resolve")], ["transport=smtp nexthop=[10.9.9.9]", "transport=smtp nexthop=out.test"], "transports")
    t.ok(all("master.cf:" in s["where"] for s in find(steps, step="resolve")), "... with their lines in master.cf")

    rc, steps, r = explain(i, "a@b.test", "old@relay.test")
    t.ok(find(steps, step="rewrite", key="old@relay.test"), "canonical and alias", steps[-6:])
    rc, steps, r = explain(i, "move@x.test", "known@relay.test")
    t.eq([s["key"] for s in find(steps, step="resolve")], ["boss@relay.test"], "REDIRECT decides where it goes")
    rc, steps, r = explain(i, "own@x.test", "known@relay.test")
    t.ok("nexthop=[10.1.1.1]" in find(steps, step="resolve")[0]["answer"], "FILTER too")
    rc, steps, r = explain(i, "a@b.test", "policy@relay.test", helo="bad.helo")
    t.ok(find(steps, step="list", name="strict") and rc == 1, "a restriction class named by a table", steps[-4:])
    rc, steps, r = explain(i, "a@b.test", "x@foreign.test", client="127.0.0.1")
    t.ok(rc == 0 and find(steps, step="match", name="mynetworks")[0]["answer"] == "127.0.0.0/8", "the entry of mynetworks that matches", steps[:4])

    with open(i.dir + "/msg", "w") as f:
        f.write("From: x\nSubject: an\n offer\n\nSubject: this offer is body\n")
    rc, steps, r = explain(i, "a@b.test", "known@relay.test", more=("--headers", i.dir + "/msg"))
    t.eq([s["answer"] for s in find(steps, name="header_checks")], ["REJECT no offers"], "header_checks: a folded line is one line, and the body is not read")

    # What it says is what a session says.
    for sender, rcpt, client, helo in (("a@spam.test", "known@relay.test", "192.0.2.9", "x.test"), ("a@b.test", "known@relay.test", "192.0.2.66", "x.test"),
                                       ("a@b.test", "nobody@relay.test", "192.0.2.9", "x.test"), ("", "known@relay.test", "192.0.2.9", "x.test"),
                                       ("a@b.test", "x@foreign.test", "192.0.2.9", "x.test"), ("a@b.test", "x@foreign.test", "127.0.0.9", "x.test"),
                                       ("a@b.test", "policy@relay.test", "192.0.2.9", "bad.helo"), ("a@b.test", "ask@relay.test", "192.0.2.9", "x.test"),
                                       ("hold@x.test", "team@relay.test", "192.0.2.9", "x.test")) + tuple(
                                           ("a@b.test", odd, "192.0.2.9", "x.test") for odd in ODD) + tuple((odd, "known@relay.test", "192.0.2.9", "x.test") for odd in ODD):
        rc, steps, r = explain(i, sender, rcpt, client=client, helo=helo)
        verdicts = [s["answer"] for s in steps if s["step"] == "verdict" and s["stage"] in ("MAIL", "RCPT")] or ["?"]
        said = verdicts[-1]
        real = session(i, sender, rcpt, client, helo)
        t.ok(said == real or (said == "accepted" and real.startswith("250")), "as a session: %s %s %s" % (sender, rcpt, client), "%s\n%s" % (said, real))
    t.ok(i.queue_is_empty(), "nothing is queued")

    # A tempfail action that is none: not taken for one of the others (nothing would tell of the slip).
    base = open(i.etc + "/main.cf").read()
    for name, restriction in (("unknown_address_tempfail_action", "reject_unknown_sender_domain"), ("unknown_helo_hostname_tempfail_action", "reject_unknown_helo_hostname"),
                              ("unverified_recipient_tempfail_action", "reject_unverified_recipient"), ("unverified_sender_tempfail_action", "reject_unverified_sender")):
        i.write("main.cf", base + "%s = permit\nsmtpd_sender_restrictions = %s\n" % (name, restriction))
        rc, steps, r = explain(i, "a@b.test", "known@relay.test")
        t.ok(find(steps, step="verdict")[-1]["answer"].startswith("451 4.3.5 ") and "bad configuration: %s = permit" % name in r.stderr, "%s = permit" % name, r.stdout + r.stderr)
    i.write("main.cf", base)

    # What would have side effects, or would change the message, is named and left out.
    base = open(i.etc + "/main.cf").read()
    extra = "smtpd_milters = inet:127.0.0.1:9\nbody_checks = regexp:{{/x/ REJECT}}\nsmtpd_sender_restrictions = reject_unverified_sender\n" \
            "smtpd_client_restrictions = check_policy_service inet:127.0.0.1:9\nsmtpd_data_restrictions = reject_unverified_recipient\n"
    i.write("main.cf", base + extra)
    rc, steps, r = explain(i, "a@b.test", "known@relay.test")
    lines = len(base.split("\n"))
    t.eq([(s["name"], s["answer"], s["where"].rsplit(":", 1)[-1]) for s in steps if s["step"] == "note" and s.get("answer", "").startswith("not run")],
         [("smtpd_milters", "not run: inet:127.0.0.1:9", str(lines)), ("body_checks", "not run: regexp:{{/x/ REJECT}}", str(lines + 1))], "milters and body checks are named as not run")
    text = json.dumps(steps)
    t.ok("no probe is sent" in text and "127.0.0.1:9 is not asked" in text and rc == 0, "neither probes nor policy servers: no opinion", text[-1500:])
    t.eq([s["answer"] for s in find(steps, step="restriction", name="reject_unverified_sender") if s["answer"] == "DUNNO"], ["DUNNO"], "... with its place in the list")
    t.ok("verify" not in i.log() and i.queue_is_empty(), "no probe was sent", i.log()[-500:])
    r = posthouse(i, "explain", "-c", i.etc, "--client", "192.0.2.9", "--name", "unknown", "a@b.test", "known@relay.test")
    t.ok("not run: inet:127.0.0.1:9" in r.stdout, "the text form says so, too", r.stdout)
    # Both forms tell the same steps.
    shown = [s["answer"] for s in steps if s["step"] in ("verdict", "resolve", "action", "rewrite")]
    t.eq([a for a in shown if a not in r.stdout], [], "both forms have each verdict, action, rewriting and route")
    i.write("main.cf", base)

    r = posthouse(i, "explain", "-c", i.etc, "a@b.test")
    t.eq(r.returncode, 64, "without recipient: usage")
    r = posthouse(i, "explain", "-c", i.etc, "--service", "nosuch", "a@b.test", "c@d.test")
    t.ok(r.returncode == 69 and "no smtpd service nosuch" in r.stderr, "a service that does not exist", r.stderr)
    r = posthouse(i, "explain", "-c", i.etc, "--client", "192.0.2.9", "--name", "unknown", "a@spam.test", "known@relay.test")
    t.ok("REJECT no spam   (smtpd_recipient_restrictions, " in r.stdout, "the text form", r.stdout)
    # A table that fails is a deferral, and is named.
    i.write("main.cf", open(i.etc + "/main.cf").read().replace("transport_maps = texthash", "transport_maps = fail:broken texthash"))
    rc, steps, r = explain(i, "a@b.test", "known@relay.test")
    t.ok(rc == 1 and find(steps, step="table", name="fail:broken", failed=True) and find(steps, step="verdict")[-1]["answer"].startswith("451"),
         "a table that fails", steps[-3:])
sys.exit(t.done())
