#!/usr/bin/env python3
"""session.t: what a milter does to a session: rows N-021 and N-032 of the catalogue of negative tests, smtpd_milter_maps, slow milters, and one that answers
although it said that it would not."""
import os
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from instance import Client, Instance, Tap                                        # noqa: E402
from milter import ACCEPT, CONTINUE, REJECT, TEMPFAIL, Milter, Sleep, reply       # noqa: E402

MESSAGE = "From: a@x.example\nSubject: x\n\nbody\n"
NR_CONN, NR_HELO, NR_MAIL, NR_RCPT = 0x1000, 0x2000, 0x4000, 0x8000
tap = Tap()
m, other, quiet = Milter(), Milter(), Milter(protocol=NR_MAIL)
MAIN = """
smtpd_milters = %s
smtpd_milter_maps = inline:{{127.0.0.2=DISABLE}, {127.0.0.3=%s}, {127.0.0.4=%s}}
smtpd_end_of_data_restrictions = check_sender_access inline:{{bad@x.example=REJECT not you}}
smtpd_hard_error_limit = 1000
smtpd_soft_error_limit = 1000
milter_command_timeout = 10s
""" % (m.spec, other.spec, quiet.spec)


def connect(source="127.0.0.1"):
    c = Client.__new__(Client)
    import socket
    c.s = socket.create_connection(("127.0.0.1", inst.port), 20, (source, 0))
    c.f = c.s.makefile("rb")
    c.transcript = []
    c.banner = c.reply()
    return c


def scopes():
    m.reset()
    m.on("M", ACCEPT)
    c = connect()
    for x in ("EHLO c.example", "MAIL FROM:<bad@x.example>", "RCPT TO:<b@x.example>", "DATA"):
        c.cmd(x)
    c.s.sendall(b"x\r\n.\r\n")
    tap.ok(c.reply().startswith("554 5.7.1 <bad@x.example>"), "N-021 refused at the end of data, behind a milter's accept")
    tap.eq(c.cmd("RCPT TO:<b@x.example>"), "503 5.5.1 Error: need MAIL command", "N-021 the transaction is over")
    tap.eq(c.cmd("DATA"), "503 5.5.1 Error: need RCPT command", "N-021 for DATA as well")
    m.on("M", REJECT)
    tap.eq(c.cmd("MAIL FROM:<a@x.example>"), "550 5.7.1 Command rejected", "N-021 the next MAIL is told to the milter")
    tap.eq(len(m.seen("M")), 2, "N-021 both were")
    c.s.close()


def unknown():
    for answer, code in ((REJECT, "550 5.7.1"), (TEMPFAIL, "451 4.7.1"), (reply(b"421 4.7.0 go"), "421 4.7.0"), (CONTINUE, "500 5.5.2")):
        for line in ("BOGUS", "BOGUS a b c d e", "BOGUS " + "x" * 500):
            m.reset()
            m.on("U", answer)
            c = connect()
            c.cmd("EHLO c.example")
            r = c.cmd(line)
            tap.ok(r.startswith(code), "N-032 %s: %s" % (line[:16], code), r)
            tap.eq(m.seen("U"), [line.encode() + b"\0"], "N-032 the milter gets the whole line")
            c.s.close()


def maps():
    m.reset()
    other.reset()
    m.on("M", REJECT)
    other.on("M", TEMPFAIL)
    got = []
    for source in ("127.0.0.1", "127.0.0.2", "127.0.0.3"):
        c = connect(source)
        c.cmd("EHLO c.example")
        got.append(c.cmd("MAIL FROM:<a@x.example>")[:3])
        c.s.close()
    tap.eq(got, ["550", "250", "451"], "smtpd_milter_maps: the list, none, another one")


def out_of_step():
    quiet.reset()
    quiet.on("R", REJECT)
    c = connect("127.0.0.4")
    c.cmd("EHLO c.example")
    a = c.cmd("MAIL FROM:<a@x.example>")
    while not quiet.seen("M"):          # it has been told, and has answered
        time.sleep(0.01)
    time.sleep(0.05)
    b = c.cmd("RCPT TO:<b@x.example>")
    tap.ok(a[:3] == "250" and b[:3] == "451", "a milter that answers what it would not answer is not believed", (a, b))
    tap.ok(inst.wait_log("unexpected reply before command"), "and the log says so")
    c.s.close()
    quiet.on("M")
    c = connect("127.0.0.4")
    c.cmd("EHLO c.example")
    a, b = c.cmd("MAIL FROM:<a@x.example>"), c.cmd("RCPT TO:<b@x.example>")
    tap.ok(a[:3] == "250" and b[:3] == "550", "one that keeps its word is", (a, b))
    c.s.close()


def slow():
    m.reset()
    m.on("M", Sleep(2), CONTINUE)
    done = []

    def waiting():
        c = connect()
        c.cmd("EHLO c.example")
        done.append(c.cmd("MAIL FROM:<a@x.example>"))
        c.s.close()

    threads = [threading.Thread(target=waiting) for _ in range(100)]
    begin = time.monotonic()
    for t in threads:
        t.start()
    while len(m.seen("M")) < 100 and time.monotonic() - begin < 10:
        time.sleep(0.02)
    asked = time.monotonic()
    times = []
    for _ in range(20):
        at = time.monotonic()
        c = connect("127.0.0.2")
        r = c.send("a@x.example", ["b@x.example"], MESSAGE)
        times.append(time.monotonic() - at)
        c.s.close()
        if not r.startswith("250"):
            tap.ok(False, "mail beside waiting sessions", r)
    still = len(done)
    for t in threads:
        t.join()
    tap.ok(len(done) == 100 and all(x.startswith("250") for x in done), "100 sessions wait for a slow milter", done[:3])
    tap.ok(max(times) < 1 and (still < 100 or time.monotonic() - asked > 2), "nobody else waits: 20 messages, the slowest took %d ms" % (1000 * max(times)), (times, still))


inst = Instance(MAIN)
with inst:
    for part in (scopes, unknown, maps, out_of_step, slow):
        part()
sys.exit(tap.done())
