#!/usr/bin/env python3
"""cancel.t: N-327: a session, and a delivery, is cancelled at its n-th wait, for every n.

The session talks TLS, and waits for DNS, a policy server, the disk and its client; the delivery for DNS, its server and the queue manager.
Each time the process lives on, keeps no descriptor, and serves the next; what got a 250 is delivered, nothing is returned to its sender."""
import os
import socket
import ssl
import subprocess
import sys
import threading

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from instance import TOP, Client, Instance, Tap, dnsd, own_network, wait_for                               # noqa: E402

tap = Tap()
if os.geteuid() != 0:
    print("1..0 # SKIP needs root")
    sys.exit(0)
own_network(__file__)
policy = socket.create_server(("127.0.0.1", 0))


def decide():
    while True:
        threading.Thread(target=answer, args=(policy.accept()[0],), daemon=True).start()


def answer(s):
    f = s.makefile("rb")
    try:
        while f.readline():
            while f.readline() not in (b"\n", b""):
                pass
            s.sendall(b"action=dunno\n\n")
    except OSError:
        pass


threading.Thread(target=decide, daemon=True).start()
inst = Instance("""
smtpd_tls_security_level = may
smtpd_tls_chain_files = @ETC@/pair.pem
smtp_tls_security_level = may
smtpd_sender_restrictions = reject_unknown_sender_domain
smtpd_recipient_restrictions = check_policy_service inet:127.0.0.1:%d, permit
smtpd_policy_service_retry_delay = 1s
minimal_backoff_time = 1s
maximal_backoff_time = 1s
queue_run_delay = 1s
transport_maps = inline:{away.test=smtp:mx.away.test:@SINK@}
""" % policy.getsockname()[1])
inst.env["PH_FAULT_FILE"] = inst.dir + "/fault"
dns = dnsd(inst.dir, "client.example A 192.0.2.1\nmx.away.test A 127.0.0.1\n")
subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj", "/CN=mx.test.example",
                "-keyout", inst.etc + "/key", "-out", inst.etc + "/cert"], check=True, capture_output=True)
inst.write("pair.pem", open(inst.etc + "/key").read() + open(inst.etc + "/cert").read())
sink = subprocess.Popen([sys.executable, TOP + "/t/lib/sink.py", "--log", inst.dir + "/sink", "--tls", inst.etc + "/cert", inst.etc + "/key"], stdout=subprocess.PIPE, text=True)
inst.write("main.cf", open(inst.etc + "/main.cf").read().replace("@SINK@", sink.stdout.readline().split()[1]))
plain = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
plain.check_hostname, plain.verify_mode = False, ssl.CERT_NONE


def fault(text):
    with open(inst.dir + "/fault.new", "w") as f:
        f.write(text)
    os.rename(inst.dir + "/fault.new", inst.dir + "/fault")


def session(rcpt):
    """The last reply, or "" where the connection ended."""
    try:
        c = Client(inst.port)
        if c.banner[:3] != "220" or c.cmd("EHLO client.example")[:3] != "250" or c.cmd("STARTTLS")[:3] != "220":
            return "no session"
        c.s = plain.wrap_socket(c.s)
        c.f = c.s.makefile("rb")
        r = c.send("s@client.example", [rcpt], "Subject: x\n\n" + "x" * 70 + "\n")
        if r[:3] == "250":
            c.cmd("QUIT")
        c.s.close()
        return r
    except OSError as e:
        return "closed: %s" % e


def workers():
    return {p: n for p, n in inst.processes().items() if n in ("smtpd", "agent", "qmgr")}


def delivered(rcpt):
    return "C RCPT TO:<%s>" % rcpt in open(inst.dir + "/sink").read()


def descriptors(names):
    """How many of them are sockets of this network, by process."""
    return {p: sum(os.path.islink(f) and os.readlink(f).startswith("socket:") for f in ("/proc/%d/fd/%s" % (p, d) for d in os.listdir("/proc/%d/fd" % p)))
            for p, n in workers().items() if n in names}


def sweep(who, coroutine, waits, least, check):
    """Cancel at the first wait, at the second ...; how many waits there are depends on what has to be waited for."""
    hit = 0
    for n in range(1, waits + 1):
        fault("park.%s=EINTR:%d" % (coroutine, n))
        hit += check(n)
        fault("")
    return tap.ok(hit >= least, "%s: cancelled at %d waits" % (who, hit))


accepted = []


def one_session(n):
    rcpt = "session%d@away.test" % n
    r = session(rcpt)
    if r.startswith("250"):
        accepted.append(rcpt)
    return not r.startswith("250")


def one_delivery(n):
    """Whether it came later than at the first attempt."""
    rcpt = "delivery%d@away.test" % n
    r = session(rcpt)
    accepted.append(rcpt)
    qid = r.split()[-1]
    wait_for("a result", lambda: "%s: to=<" % qid in inst.log() or delivered(rcpt))
    return "status=deferred" in wait_for("a result", lambda: [l for l in inst.log().split("\n") if "%s: to=<" % qid in l])[0]


with inst:
    fault("")
    tap.ok(session("first@away.test").startswith("250"), "a session over TLS")
    wait_for("the first delivery", lambda: delivered("first@away.test"))
    alive, before = workers(), descriptors(("smtpd", "agent"))
    sweep("a session", "smtpd-session", 20, 6, one_session)
    sweep("a delivery", "delivery", 12, 2, one_delivery)
    missing = lambda: [a for a in accepted if not delivered(a)]                     # noqa: E731
    wait_for("all to be delivered", lambda: not missing(), 60)
    tap.eq(missing(), [], "N-327 what was taken is delivered")
    tap.eq(workers(), alive, "N-327 no process has ended")
    tap.ok("status=bounced" not in inst.log() and "panic" not in inst.log(), "N-327 nothing is returned")
    for _ in range(10):
        tap.ok(session("last@away.test").startswith("250"), "and the next is served")
    wait_for("an empty queue", inst.queue_is_empty)
    wait_for("the descriptors of before", lambda: all(descriptors(("smtpd", "agent"))[p] <= before[p] + 2 for p in before))
    tap.ok(True, "N-327 no descriptor is left")
sink.kill()
dns.kill()
sys.exit(tap.done())
