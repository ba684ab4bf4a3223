#!/usr/bin/env python3
"""REQUIRETLS and "TLS-Required: no" (RFC 8689), from the option to the next server and back to the sender: N-068 N-109."""
import os
import ssl
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)) + "/../lib")
from instance import TOP, Client, Instance, Tap, free_port, wait_for

t = Tap()
d = None
servers = []


def certificate(d):
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj", "/CN=x", "-addext",
                    "subjectAltName=DNS:mx.sink.test", "-keyout", d + "/key.pem", "-out", d + "/cert.pem"], check=True, capture_output=True)


class Sink:
    def __init__(self, name, *args):
        self.log = d + "/" + name
        self.p = subprocess.Popen([sys.executable, TOP + "/t/lib/sink.py", "--log", self.log, *args], stdout=subprocess.PIPE, text=True)
        self.port = int(self.p.stdout.readline().split()[1])
        servers.append(self.p)

    def lines(self):
        return open(self.log).read().split("\n") if os.path.exists(self.log) else []

    def mail(self, rcpt):
        """The MAIL line before this RCPT, in the last session that had it; and the content behind it."""
        lines = self.lines()
        at = max((k for k, l in enumerate(lines) if l.startswith("C RCPT TO:<%s>" % rcpt)), default=None)
        if at is None:
            return "", []
        sent = next(l for l in reversed(lines[:at]) if l.startswith("C MAIL"))
        end = next((k for k in range(at, len(lines)) if lines[k].startswith("C QUIT") or lines[k].startswith("-- session")), len(lines))
        return sent, [l[2:] for l in lines[at:end] if l.startswith("D ")]


def over_tls(port, *commands, body=None):
    """A session after STARTTLS; the replies."""
    c = Client(port)
    c.cmd("EHLO c.example")
    c.cmd("STARTTLS")
    ctx = ssl._create_unverified_context()
    c.s = ctx.wrap_socket(c.s)
    c.f = c.s.makefile("rb")
    out = [c.cmd(x) for x in ("EHLO c.example",) + commands]
    if body is not None:
        out.append(c.cmd("DATA"))
        c.s.sendall(body.replace("\n", "\r\n").encode() + b".\r\n")
        out.append(c.reply())
    c.quit()
    return out


MAIN = """
requiretls_enable = yes
smtpd_tls_security_level = may
smtpd_tls_cert_file = @D@/cert.pem
smtpd_tls_key_file = @D@/key.pem
smtp_tls_CAfile = @D@/cert.pem
smtp_connection_cache_on_demand = no
initial_destination_concurrency = 1
smtp_tls_policy_maps = inline:{{[127.0.0.1]:@GOOD@=secure match=mx.sink.test} {[127.0.0.1]:@OLD@=secure match=mx.sink.test} {[127.0.0.1]:@PLAIN@=secure match=mx.sink.test} {[127.0.0.1]:@WRONG@=secure match=other.test} {[127.0.0.1]:@DOWN@=secure match=mx.sink.test}}
smtp_requiretls_policy = inline:{{127.0.0.1=enforce}}, disable
transport_maps = inline:{{good.test=smtp:[127.0.0.1]:@GOOD@} {old.test=smtp:[127.0.0.1]:@OLD@} {plain.test=smtp:[127.0.0.1]:@PLAIN@} {wrong.test=smtp:[127.0.0.1]:@WRONG@} {nopolicy.test=smtp:[127.0.0.1]:@MAY@}
 {nexthop.test=smtp:[127.0.0.1]:@OLD@,[127.0.0.1]:@GOOD@} {down.test=smtp:[127.0.0.1]:@DOWN@,[127.0.0.1]:@OLD@} {opp.plain.test=opp:[127.0.0.1]:@PLAIN2@} {opp.good.test=opp:[127.0.0.1]:@GOOD@} {tls.plain.test=tls:[127.0.0.1]:@PLAIN2@} {tls.old.test=tls:[127.0.0.1]:@MAY@}
 {broken.test=broken:[127.0.0.1]:@GOOD@} {soft.test=soft:inet:[127.0.0.2]:@DOWN@,unix:/nonexistent/x} {wrap.test=wrap:inet:[127.0.0.2]:@DOWN@,unix:/nonexistent/x} {refuses.test=tls:[127.0.0.1]:@REFUSES@}
 {cbad.test=cbad:[127.0.0.1]:@PLAIN2@} {cmay.test=cmay:[127.0.0.1]:@GOOD@} {ctls.test=ctls:[127.0.0.1]:@ONCE@} {back.test=smtp:[127.0.0.1]:@BACK@} {filter.test=smtp:[127.0.0.1]:@OLD@}}
"""
# Sessions that ordinary mail leaves behind.
MASTER = """
opp unix - - n - - smtp -o smtp_requiretls_policy=opportunistic -o smtp_tls_security_level=may
tls unix - - n - - smtp -o smtp_tls_security_level=may -o { smtp_requiretls_policy = opportunistic+starttls }
broken unix - - n - - smtp -o smtp_requiretls_policy=tcp:127.0.0.1:@DOWN@
soft unix - - n - - lmtp -o { lmtp_requiretls_policy = inline:{{mx.test.example=enforce}}, fail:t }
wrap unix - - n - - lmtp -o lmtp_tls_wrappermode=yes -o lmtp_tls_security_level=may -o { lmtp_tls_policy_maps = inline:{{unix:/nonexistent/x=none}} } -o { lmtp_requiretls_policy = opportunistic+starttls }
cbad unix - - n - 1 smtp -o smtp_requiretls_policy=fail:t @CACHE@
cmay unix - - n - 1 smtp -o smtp_requiretls_policy=enforce -o smtp_tls_policy_maps= -o smtp_tls_security_level=may -o smtp_tls_connection_reuse=yes @CACHE@
ctls unix - - n - 1 smtp -o smtp_tls_security_level=may -o { smtp_requiretls_policy = opportunistic+starttls } @CACHE@
127.0.0.1:@OFF@ inet n - n - - smtpd -o requiretls_enable=no
127.0.0.1:@PROXY@ inet n - n - - smtpd -o smtpd_proxy_filter=127.0.0.1:@BACK@
""".replace("@CACHE@", "-o smtp_connection_cache_on_demand=yes -o smtp_connection_cache_time_limit=60s")


def setup(i):
    global d
    d = i.dir + "/peers"
    os.mkdir(d)
    certificate(d)
    os.chmod(d + "/key.pem", 0o644)
    tls = ["--tls", d + "/cert.pem", d + "/key.pem"]
    s = {"GOOD": Sink("good", "--ehlo", "PIPELINING, STARTTLS, REQUIRETLS, 8BITMIME", *tls), "OLD": Sink("old", "--ehlo", "STARTTLS", *tls, "rcpt~gone=550 5.1.1 gone"),
         "PLAIN": Sink("plain", "--ehlo", "REQUIRETLS"), "PLAIN2": Sink("plain2", "--ehlo", "REQUIRETLS"), "WRONG": Sink("wrong", "--ehlo", "STARTTLS, REQUIRETLS", *tls),
         "MAY": Sink("may", "--ehlo", "STARTTLS", *tls), "BACK": Sink("back"),
         "REFUSES": Sink("refuses", "--ehlo", "STARTTLS", *tls, "starttls=454 4.7.0 not now"), "ONCE": Sink("once", "--ehlo", "STARTTLS", *tls, "starttlsx1=454 4.7.0 not now")}
    ports = {k: v.port for k, v in s.items()}
    ports.update(DOWN=free_port(), OFF=free_port(), PROXY=free_port())
    for name in ("main.cf", "master.cf"):
        text = open(i.etc + "/" + name).read().replace("@D@", d)
        for k, v in ports.items():
            text = text.replace("@%s@" % k, str(v))
        open(i.etc + "/" + name, "w").write(text)
    i.start()
    return s, ports


def main(i, s, ports):
    # ---- the server
    plain = Client(i.port)
    ehlo, refused = plain.cmd("EHLO c.example"), plain.cmd("MAIL FROM:<s@back.test> REQUIRETLS")
    plain.quit()
    t.ok("REQUIRETLS" not in ehlo and refused.startswith("555 5.5.4"), "in clear it is not announced and not taken", (ehlo, refused))
    r = over_tls(i.port, "MAIL FROM:<s@back.test> requiretls")
    t.ok(r[0].endswith("REQUIRETLS") and r[1].startswith("250"), "over TLS it is", r)
    r = over_tls(ports["OFF"], "MAIL FROM:<s@back.test> REQUIRETLS")
    t.ok("REQUIRETLS" not in r[0] and r[1].startswith("555"), "requiretls_enable = no", r)

    # ---- all messages first, then what became of them
    def send(rcpt, option=" REQUIRETLS", header=""):
        r = over_tls(i.port, "MAIL FROM:<s@back.test>" + option, "RCPT TO:<%s>" % rcpt, body="Subject: x\n%s\nsecret body\n" % header)
        return rcpt, r[-1].split()[-1]

    ids = dict([send("x@%s.test" % x) for x in ("good", "old", "plain", "wrong", "nopolicy", "nexthop", "down", "opp.plain", "opp.good", "tls.plain", "tls.old", "broken", "soft", "wrap", "refuses")] + [
        send("opt@wrong.test", "", "TLS-Required: No\n"), send("not@wrong.test", ""), send("bad@wrong.test", "", "TLS-Required: perhaps\n"),
        send("opt@plain.test", "", "TLS-Required: no\n"), send("both@plain.test", " REQUIRETLS", "TLS-Required: no\n"), send("x@filter.test", "", "Require-TLS-ESMTP: yes\n"),
        send("gone@old.test", "", "TLS-Required: no\n")])
    ids.update([send("first@%s.test" % x, "") for x in ("cbad", "cmay", "ctls")])
    i.command("sendmail", "-f", "s@back.test", "-O", "requiretls=yes", "local@old.test", input="Subject: y\n\nb\n", check=True)
    results = {}

    def collect(ids):
        for rcpt, qid in ids.items():
            results[rcpt] = wait_for("result for " + rcpt, lambda: [l for l in i.log().split("\n") if qid in l and "status=" in l], 30)[-1]
    collect(ids)
    # What depends on what came before.
    collect(dict([send("x@%s.test" % x) for x in ("cbad", "cmay", "ctls")] + [send("later@%s.test" % x, "") for x in ("broken", "refuses")]))

    def result(rcpt, *texts, name):
        t.ok(all(x in results[rcpt] for x in texts), name, results[rcpt])

    # ---- enforce
    sent, content = s["GOOD"].mail("x@good.test")
    result("x@good.test", "status=sent", name="a server that can: sent")
    t.ok(sent.endswith(" REQUIRETLS") and "Require-TLS-ESMTP: yes" in content, "with the option, and the header for filters", (sent, content))
    result("x@old.test", "dsn=5.7.30", "status=bounced", name="N-068 the server does not know REQUIRETLS: 5.7.30")
    result("x@plain.test", "dsn=5.7.10", "status=bounced", name="N-068 it has no TLS: 5.7.10")
    result("x@wrong.test", "dsn=5.7.10", "status=bounced", name="N-068 it is somebody else: 5.7.10")
    result("x@nopolicy.test", "dsn=5.7.10", "status=bounced", name="N-068 nothing says who it should be: 5.7.10")
    result("x@nexthop.test", "status=sent", "relay=127.0.0.1[127.0.0.1]:%d," % ports["GOOD"], name="the next server can")
    result("x@down.test", "status=deferred", name="N-068 one of the servers is only down: the mail waits")
    result("x@broken.test", "dsn=4.7.5", "status=deferred", name="a policy that cannot be looked up: the mail waits")
    result("x@soft.test", "dsn=4.7.10", "status=deferred", name="one policy of several cannot be looked up: the mail waits")
    result("x@wrap.test", "dsn=4.7.10", "status=deferred", name="one server of several has TLS that is configured wrongly: the mail waits")
    # ---- sessions of ordinary mail
    t.ok(all("status=sent" in results["first@%s.test" % x] for x in ("cbad", "cmay", "ctls")), "ordinary mail goes, and leaves its sessions open", results)
    result("x@cbad.test", "dsn=4.7.5", "status=deferred", name="N-068 a policy that cannot be looked up: no session that is there")
    result("x@cmay.test", "dsn=5.7.10", "status=bounced", name="N-068 nor one with a server that was not verified")
    result("x@ctls.test", "status=sent", name="N-068 nor one in clear, as there may be TLS")
    t.ok(s["ONCE"].lines().count("-- session") == 2 and "-- TLS" in s["ONCE"].lines(), "N-068 and there is", s["ONCE"].lines())
    # ---- who does not ask for it
    result("later@broken.test", "status=sent", name="what REQUIRETLS wants is not the destination's fault: a policy")
    result("x@refuses.test", "dsn=4.7.0", "status=deferred", name="STARTTLS is refused: the mail waits")
    result("later@refuses.test", "status=sent", name="other mail does not: STARTTLS")
    for who in ("OLD", "PLAIN", "WRONG", "MAY"):
        lines = s[who].lines()
        t.ok(not any("REQUIRETLS" in l and l.startswith("C ") for l in lines) and not any("x@" in l and "tls.old" not in l for l in lines if l.startswith("C RCPT")),
             "N-068 nothing went to %s" % who.lower(), "\n".join(lines))
    # ---- opportunistic
    result("x@opp.plain.test", "status=sent", name="opportunistic: in clear, if need be")
    t.ok("REQUIRETLS" not in s["PLAIN2"].mail("x@opp.plain.test")[0], "and then without the option, though it is announced", s["PLAIN2"].lines())
    t.ok(s["GOOD"].mail("x@opp.good.test")[0].endswith(" REQUIRETLS"), "with it where it can be had", s["GOOD"].lines())
    result("x@tls.plain.test", "dsn=5.7.10", "status=bounced", name="opportunistic+starttls: not without TLS")
    result("x@tls.old.test", "status=sent", name="opportunistic+starttls: TLS will do")
    # ---- TLS-Required: no
    result("opt@wrong.test", "status=sent", name="N-109 TLS-Required: no: whoever it is gets it")
    t.ok(any(l == "-- TLS" for l in s["WRONG"].lines()), "N-109 over TLS where there is some", s["WRONG"].lines())
    result("opt@plain.test", "status=sent", name="N-109 TLS-Required: no: in clear, if need be")
    result("not@wrong.test", "dsn=4.7.5", "status=deferred", name="N-109 the next message to that place is under the policy again")
    result("bad@wrong.test", "dsn=4.7.5", "status=deferred", name="N-109 another word than no changes nothing")
    result("both@plain.test", "dsn=5.7.10", "status=bounced", name="REQUIRETLS goes before TLS-Required: no")
    # ---- other ways in
    result("x@filter.test", "dsn=5.7.30", "status=bounced", name="Require-TLS-ESMTP: yes counts as the option")
    t.ok(i.wait_log("to=<local@old.test>")[0].count("dsn=5.7.30"), "sendmail -O requiretls=yes, too", i.log())
    r = over_tls(ports["PROXY"], "MAIL FROM:<p@back.test>\tREQUIRETLS \tSIZE=100", "RCPT TO:<proxied@back.test>", body="Subject: x\n\nb\n")
    sent, content = s["BACK"].mail("proxied@back.test")
    t.ok(r[-1].startswith("250") and sent == "C MAIL FROM:<p@back.test> SIZE=100" and "Require-TLS-ESMTP: yes" in content, "a proxy filter gets the header, not the option, and blanks for tabs", (r, sent, content))
    # ---- the notifications
    bounced = 10

    def notes():
        lines = s["BACK"].lines()
        return lines if sum(l.startswith("C RCPT TO:<s@back.test>") for l in lines) >= bounced else None
    lines = wait_for("notifications", notes)
    t.ok(not any("REQUIRETLS" in l for l in lines if l.startswith("C ")), "notifications go without REQUIRETLS", "\n".join(lines))
    t.ok(lines.count("D TLS-Required: no") == 3, "N-109 that about mail with TLS-Required: no has the header, too", "\n".join(lines))
    lines = [l for l in lines if l != "D secret body" or lines.count(l) > 1]        # that one may have its content
    t.ok("D secret body" not in lines and any(l == "D Content-Description: Undelivered Message Headers" for l in lines), "and without the content", "\n".join(lines))


i = Instance(MAIN, MASTER)
try:
    main(i, *setup(i))
finally:
    i.stop()
    for p in servers:
        p.kill()
        p.wait()
sys.exit(t.done())
