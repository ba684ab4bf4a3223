#!/usr/bin/env python3
"""hostile.t: milters that lie, break, stall or go too far: rows N-215 to N-225 of the catalogue of negative tests."""
import concurrent.futures
import os
import struct
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from instance import Client, Instance, Tap, wait_for                              # noqa: E402
from milter import (ACCEPT, CLOSE, CONN_FAIL, CONTINUE, DISCARD, PROGRESS, RAW, REJECT, SHUTDOWN, SKIP, Milter, Sleep, add, add_rcpt, body,  # noqa: E402
                    change, delete_rcpt, insert, packet, quarantine, reply, sender)

UNAVAILABLE = "451 4.7.1 Service unavailable - try again later"
CONFIG = "451 4.3.5 Server configuration problem - try again later"
MESSAGE = "From: a@x.example\nX-Multi: one\nX-Multi: two\nSubject: original\nMessage-Id: <m@x.example>\nDate: Thu, 01 Jan 2015 10:00:00 +0000\n\nbody\n"
MAIN = """
smtpd_milters = %s
smtpd_data_restrictions = check_client_access static:HOLD
message_size_limit = 200000
milter_command_timeout = 1s
milter_content_timeout = 1s
milter_connect_timeout = 1s
smtpd_sender_restrictions = check_sender_access inline:{{prepend@x.example = PREPEND X-Prepended: yes}}
"""
tap = Tap()
m = Milter()
inst = Instance(MAIN % m.spec)


def talk(*commands, port=None):
    """Replies; the connection is closed afterwards."""
    c = Client(port or inst.port)
    out = [c.banner]
    for x in commands:
        try:
            out.append(c.cmd(x))
        except OSError:                 # it has hung up
            out.append("")
    c.s.close()
    return out


def mail(who="a@x.example", port=None):
    return talk("EHLO client.example", "MAIL FROM:<%s>" % who, port=port)[2]


def send(message=MESSAGE, who="a@x.example", rcpts=("b@x.example",), port=None, kept=True):
    """The last reply, and the message as it lies in the queue."""
    c = Client(port or inst.port)
    r = c.send(who, rcpts, message)
    c.s.close()
    text = ""
    if "queued as " in r and kept:
        text = wait_for("message in the queue", lambda: inst.command("postcat", "-q", r.split()[-1]).stdout)
    return r, text


def headers(text):
    part = text.split("*** MESSAGE CONTENTS")[-1].split("\n", 1)[-1]
    return part.split("\n\n", 1)[0].split("\n")


def lengths():
    for name, raw in (("0", b"\0\0\0\0"), ("2^31", b"\x80\0\0\0"), ("0xffffffff", b"\xff\xff\xff\xff"), ("16 MiB and 1", b"\x01\0\0\x01")):
        m.reset()
        m.on("M", RAW(raw))
        tap.eq(mail(), UNAVAILABLE, "N-215 a packet of length %s" % name)
    m.reset()
    m.on("M", RAW(b"\0\0\0\x40c"), CLOSE)
    tap.eq(mail(), UNAVAILABLE, "N-215 a packet shorter than it says")
    m.on("M", RAW(b"\0\x10\0\0h"), CLOSE)
    tap.eq(mail(), UNAVAILABLE, "N-215 a megabyte that does not come")
    m.on("M", packet(b""))
    tap.eq(mail(), UNAVAILABLE, "N-215 a command that is a NUL")
    tap.ok(inst.wait_log("bad packet length: 0") and inst.wait_log("unreasonable packet length"), "N-215 and the log says why")


def replies():
    for text in (b"", b"55", b"abc", b"250 2.0.0 ok", b"550", b"550 ", b"550 4.7.1 class", b"450 5.7.1 class", b"550-5.7.1 a\r\n451 4.7.1 b",
                 b"550-5.7.1 a\r\nQUIT", b"550 5.7.1 a\nQUIT", b"550-5.7.1 a", b"5500 a", b"550-5.7.1 a\r\n550 4.7.1 b", b"650 5.7.1 a"):
        m.reset()
        m.on("M", reply(text))
        tap.eq(mail(), CONFIG, "N-216 reply %r" % text)
    for data in (b"550 5.7.1 no end", b"", b"550 5.7.1 a\0b\0"):
        m.reset()
        m.on("M", packet(b"y", data))
        tap.eq(mail(), CONFIG, "N-216 reply data %r" % data)
    m.reset()
    m.on("M", reply(b"550-5.7.1 100%% sure\r\n550 5.7.1 %d%s%n"))
    tap.eq(mail(), "550-5.7.1 100% sure\n550 5.7.1 dsn", "N-216 each line carries the code, and marks of formats go")


def phases():
    for stage, at in (("C", 0), ("H", 1), ("M", 2), ("R", 3)):
        for name, what in (("unknown command", packet(b"Z")), ("CONN_FAIL", CONN_FAIL), ("an edit", add(b"X-A", b"b")), ("a second OPTNEG", m.offer)):
            m.reset()
            m.on(stage, what)
            got = talk("EHLO c.example", "MAIL FROM:<a@x.example>", "RCPT TO:<b@x.example>")
            want = 3 if stage == "R" else 2
            tap.eq(got[want], UNAVAILABLE, "N-217 %s at %s" % (name, stage))
        m.reset()
        m.on(stage, SKIP)
        tap.eq(talk("EHLO c.example", "MAIL FROM:<a@x.example>")[2][:3], "250", "N-217 SKIP at %s is CONTINUE" % stage)
        m.reset()
        m.on(stage, PROGRESS, PROGRESS, CONTINUE)
        tap.eq(talk("EHLO c.example", "MAIL FROM:<a@x.example>")[2][:3], "250", "N-217 PROGRESS at %s" % stage)
        m.reset()
        m.on(stage, SHUTDOWN)
        got = talk("EHLO c.example", "MAIL FROM:<a@x.example>", "RCPT TO:<b@x.example>")
        tap.eq(got[at][:3], "421", "N-217 SHUTDOWN at %s" % stage)
    for stage in "LNBE":
        for name, what in (("unknown command", packet(b"Z")), ("CONN_FAIL", CONN_FAIL)):
            m.reset()
            m.on(stage, what)
            tap.eq(send()[0], UNAVAILABLE, "N-217 %s at %s" % (name, stage))
        m.reset()
        m.on(stage, SHUTDOWN)
        tap.eq(send()[0], "421 4.7.0 Server closing connection", "N-217 SHUTDOWN at %s" % stage)


def header_edits():
    for name in (b"", b"A B", b"A:B", b"A\r\nB", b"A\n", b"T\xc3\xa9st", b"A\x7f"):
        m.reset()
        m.on("E", add(name, b"v"), add(b"X-Ok", b"ok"), CONTINUE)
        r, text = send()
        tap.ok(r[:3] == "250" and headers(text)[-1] == "X-Ok: ok" and inst.logged("bad header name"), "N-218 name %r" % name, text)
    for value in (b"a\nInjected: b", b"a\r\nInjected: b", b"a\rInjected: b", b"a\n\nbody", b"a\r\n\r\nbody\r\n.\r\n"):
        m.reset()
        m.on("E", add(b"X-V", value), add(b"X-Ok", b"ok"), CONTINUE)
        r, text = send()
        h = headers(text)
        tap.ok(r[:3] == "250" and h[-1] == "X-Ok: ok" and not any(l.startswith(("Injected", "body", ".")) for l in h), "N-218 value %r" % value, text)
    for data in (b"", b"X-A", b"X-A\0", b"X-A\0b", b"X-A\0b\0more\0"):
        for command in (b"h", b"i", b"m"):
            m.reset()
            m.on("E", packet(command, (b"\0\0\0\x01" if command != b"h" else b"") + data), CONTINUE)
            tap.eq(send()[0], UNAVAILABLE, "N-218 data %r of %s" % (data, command.decode()))
    for index in (0x80000000, 0xffffffff):
        m.reset()
        m.on("E", insert(index, b"X-I", b"i"), change(index, b"Subject", b"i"), CONTINUE)
        r, text = send()
        tap.ok(r[:3] == "250" and "X-I" not in text and "Subject: original" in text and inst.logged("bad header index"), "N-218 index %#x" % index, text)
    m.reset()
    m.on("E", insert(0x7fffffff, b"X-I", b"i"), change(0, b"Subject", b"zero"), CONTINUE)
    tap.eq([headers(send()[1])[i] for i in (-1,)], ["X-I: i"], "N-218 index 2^31-1 is the end")
    m.reset()
    m.on("E", add(b"X-Big", b"x" * 1000000), CONTINUE)
    tap.eq(send()[0], "552 5.3.4 Error: message file too big", "N-218 a value of 1 MB is over the size limit")


def instances():
    m.reset()
    m.on("E", change(1, b"X-Prepended", b"changed"), change(1, b"Received", b"added"), change(1, b"Subject", b"changed"), CONTINUE)
    h = headers(send(who="prepend@x.example")[1])
    tap.ok("X-Prepended: changed" in h and "Subject: changed" in h and h[-1] == "Received: added" and sum(l.startswith("Received:") for l in h) == 2,
           "N-219 the right header after PREPEND; our Received: is not counted", "\n".join(h))
    tap.ok(not any(d.startswith(b"Received\0") for d in m.seen("L")), "N-219 nor shown")
    m.reset()
    m.on("E", change(3, b"X-Multi", b""), CONTINUE)
    h = headers(send()[1])
    tap.eq([l for l in h if l.startswith("X-Multi")], ["X-Multi: one", "X-Multi: two"], "N-219 deleting the third of two")


def envelope():
    for address in (b"", b"<>", b"not an address", b"<b@x.example>,<c@x.example>", b"<b@x.example", b"b@x.example\r\nDATA"):
        m.reset()
        m.on("E", add_rcpt(address), CONTINUE)
        r, text = send()
        tap.ok(r[:3] == "250" and "DATA" not in text.split("*** MESSAGE CONTENTS")[0], "N-220 recipient %r" % address, text)
    m.reset()
    m.on("E", packet(b"+", b"b@x.example"), CONTINUE)
    tap.eq(send()[0], UNAVAILABLE, "N-220 a recipient without its end")
    m.on("E", packet(b"+", b"b@x.example\0c@x.example\0"), CONTINUE)
    tap.eq(send()[0], UNAVAILABLE, "N-220 two in one packet")
    for args in (b"NOTIFY=BAD", b"NOTIFY=NEVER,SUCCESS", b"NOTIFY=", b"ORCPT=utf-8;", b"ORCPT=x", b"ORCPT=rfc822;+0A", b"FOO=1"):
        m.reset()
        m.on("E", add_rcpt(b"<n@x.example>", args), CONTINUE)
        r, _ = send()
        tap.ok(r[:3] == "250" and inst.wait_log('"%s"' % args.decode()), "N-220 argument %r" % args)
    m.reset()
    m.on("E", sender(b"<new@x.example>", b"ENVID=+00 RET=BAD SIZE=1"), CONTINUE)
    r, text = send()
    tap.ok("new@x.example" in text and inst.wait_log('Ignoring bad ESMTP parameter "ENVID=+00" in SMFI_CHGFROM request'), "N-220 arguments of the sender", text)
    m.on("E", sender(b"<a@x.example>,<b@x.example>"), CONTINUE)
    tap.eq(send()[0][:3], "250", "N-220 two senders")
    m.on("E", delete_rcpt(b"<b@x.example>,<c@x.example>"), delete_rcpt(b"nobody"), CONTINUE)
    tap.eq(send()[0][:3], "250", "N-220 deleting what is not there")


def bodies():
    m.reset()
    m.on("E", body(b""), CONTINUE)
    r, text = send()
    tap.ok(r[:3] == "250" and "\n\nbody" not in text, "N-221 an empty body", text)
    m.on("E", *[body(b"x" * 65000)] * 40, CONTINUE)
    tap.eq(send()[0], "552 5.3.4 Error: message file too big", "N-221 a body over message_size_limit")
    m.on("E", body(b"a\r\n.\r\n..\r\nb\rc\nd\r"), body(b"\ne\r\n"), CONTINUE)
    text = send()[1]
    tap.ok("a\n.\n..\nb c\nd\ne\n" in text, "N-221 dots, bare CR and LF, CR LF over two packets", repr(text))
    m.on("E", body(b"half"), add(b"X-Half", b"1"), CLOSE)
    tap.eq(send()[0], UNAVAILABLE, "N-221 lost in the middle")


def hold_and_scope():
    m.reset()
    m.on("E", quarantine(b"a\nb: c\r\n.\r\n"), quarantine(b"again"), CONTINUE)
    r, text = send()
    tap.ok(r[:3] == "250" and "b: c" not in text, "N-222 a reason with line ends", text)
    m.on("E", quarantine(b"x"), DISCARD)
    r, text = send(kept=False)
    tap.ok(r[:3] == "250" and not text and inst.wait_log("milter-discard: END-OF-MESSAGE"), "N-222 quarantine, then discard", text)
    m.reset()
    m.on("C", ACCEPT)
    talk("EHLO c.example", "MAIL FROM:<a@x.example>", "RSET", "MAIL FROM:<b@x.example>")
    tap.eq(m.seen("M"), [], "N-222 ACCEPT at connect is for the session")
    m.reset()
    m.on("M", ACCEPT)
    talk("EHLO c.example", "MAIL FROM:<a@x.example>", "RCPT TO:<b@x.example>", "RSET", "MAIL FROM:<b@x.example>")
    tap.eq((len(m.seen("M")), m.seen("R")), (2, []), "N-222 ACCEPT at MAIL is for the message")


def negotiation():
    for name, raw, want in (("version 99", struct.pack("!III", 99, 0, 0), UNAVAILABLE), ("unknown actions", struct.pack("!III", 6, 0x8000, 0), UNAVAILABLE),
                            ("too short", b"\0\0\0\6\0", UNAVAILABLE), ("macros without an end", struct.pack("!IIII", 6, 0, 0, 1) + b"j", UNAVAILABLE),
                            ("version 1", struct.pack("!III", 1, 0, 0), "250"), ("unknown protocol bits", struct.pack("!III", 6, 0, 0xf0000000), "250"),
                            ("an unknown stage", struct.pack("!IIII", 6, 0, 0, 99) + b"j\0", "250"),
                            ("1000 macros", struct.pack("!IIII", 6, 0, 0, 2) + b"j " * 1000 + b"\0", "250")):
        m.reset()
        m.on("O", packet(b"O", raw))
        tap.ok(mail().startswith(want), "N-223 %s" % name)
    m.reset()
    m.on("O", b"")
    begin = time.monotonic()
    tap.ok(mail() == UNAVAILABLE and time.monotonic() - begin < 5, "N-223 no answer")


def default_action(action):
    """Every stage, a close and a stall, with this default action: (as it should be, name, transcript) of each."""
    want = {"accept": "250", "reject": "550 5.5.0 Service unavailable", "tempfail": UNAVAILABLE, "quarantine": "250",
            "shutdown": "421 4.7.0 Server closing connection"}[action]
    out, m2 = [], Milter()
    with Instance(MAIN.replace("check_client_access static:HOLD", "") % ("{ %s, default_action=%s }" % (m2.spec, action))) as i:
        for stage in "CHMRTLNBE":
            for how, answer in (("close", CLOSE), ("stall", Sleep(1.5))):
                m2.reset()
                m2.on(stage, answer)
                c = Client(i.port)
                r = c.banner if c.banner[:3] != "220" else c.send("a@x.example", ["b@x.example"], MESSAGE)
                ok = r.startswith(want) or (stage == "C" and r[:3] == {"reject": "554", "shutdown": "421"}.get(action))
                if action == "quarantine" and ok:
                    queue = wait_for("message in the queue", lambda: i.command("postqueue", "-j").stdout)
                    ok = '"queue_name": "hold"' in queue or '"queue_name":"hold"' in queue
                    i.command("postsuper", "-d", "ALL")
                out.append((ok, "N-224 %s at %s, default action %s" % (how, stage, action), "\n".join(c.transcript)))
                c.s.close()
    return out


def stages():
    """Stalls take their time: a router for each default action, all at once."""
    with concurrent.futures.ThreadPoolExecutor() as pool:
        for results in pool.map(default_action, ("accept", "reject", "tempfail", "quarantine", "shutdown")):
            for r in results:
                tap.ok(*r)
    m.reset()
    m.on("E", CLOSE)
    c = Client(inst.port)
    first = c.send("a@x.example", ["b@x.example"], MESSAGE)
    m.reset()
    second = c.send("a@x.example", ["b@x.example"], MESSAGE)
    third = c.send("a@x.example", ["b@x.example"], MESSAGE)
    tap.ok(first == UNAVAILABLE and third[:3] == "250", "N-224 a session goes on after one error", "\n".join((first, second, third)))


def macros():
    m.reset()
    m.on("M", CONTINUE)
    talk("EHLO a{b}\x01.example", 'MAIL FROM:<"x{i}y"@x.example>', "RCPT TO:<b@x.example>")
    for d in m.seen("D"):
        f = d[1:].split(b"\0")
        tap.ok(len(f) % 2 == 1 and f[-1] == b"" and len(set(f[:-1:2])) == len(f[:-1:2]), "N-225 pairs of name and value after %s" % chr(d[0]), d)
    talk("EHLO " + "h" * 1000, "MAIL FROM:<%s@x.example>" % ("l" * 1500))
    tap.ok(all(d.count(b"\0") % 2 == 0 for d in m.seen("D")), "N-225 long values")


with inst:
    for part in (lengths, replies, phases, header_edits, instances, envelope, bodies, hold_and_scope, negotiation, stages, macros):
        part()
sys.exit(tap.done())
