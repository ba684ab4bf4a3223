#!/usr/bin/env python3
"""content.t: hostile content: headers by the million, patterns without end, loops in other spellings, 8-bit data for a server that takes 7 bits.

N-162 N-169 N-170 N-174"""
import os
import quopri
import socket
import sys
import threading

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from instance import Client, Instance, Tap, wait_for                    # noqa: E402

tap = Tap()


class SevenBit:
    """A server without 8BITMIME that keeps what it gets."""

    def __init__(self):
        self.s = socket.create_server(("127.0.0.1", 0))
        self.port = self.s.getsockname()[1]
        self.contents = {}
        threading.Thread(target=self.run, daemon=True).start()

    def run(self):
        while True:
            threading.Thread(target=self.serve, args=(self.s.accept()[0],), daemon=True).start()

    def serve(self, c):
        f, sender = c.makefile("rb"), ""
        c.sendall(b"220 seven\r\n")
        for line in f:
            verb = line[:4].upper()
            if verb == b"MAIL":
                sender = line.decode("latin-1").split("<")[1].split("@")[0]
            if verb == b"DATA":
                c.sendall(b"354 go\r\n")
                lines = []
                for line in f:
                    if line == b".\r\n":
                        break
                    lines.append(line[1:] if line.startswith(b".") else line)
                self.contents[sender] = b"".join(lines)
            c.sendall(b"221 bye\r\n" if verb == b"QUIT" else b"250 ok\r\n")
        c.close()


def smtpd_kb(router):
    total = 0
    for pid, name in router.processes().items():
        if name.startswith("smtpd"):
            total += int([l for l in open("/proc/%d/status" % pid) if l.startswith("VmRSS")][0].split()[1])
    return total


def transaction(router, data, sender="s", rcpt="r@discard.test", options=""):
    c = Client(router.port, timeout=60)
    for l in ("EHLO client.example", "MAIL FROM:<%s@client.example>%s" % (sender, options), "RCPT TO:<%s>" % rcpt, "DATA"):
        c.cmd(l)
    c.s.sendall(data + b".\r\n")
    r = c.reply()
    c.quit()
    return r


def header_bombs(router):
    transaction(router, b"Subject: x\r\n\r\nx\r\n")
    for name, data in (("a million headers", b"A: b\r\n" * 1000000), ("a million folded lines", b"Subject: x\r\n" + b" y\r\n" * 1000000),
                       ("one header of 10 MB", b"X-Long: " + b"z" * 10000000 + b"\r\n")):
        before = smtpd_kb(router)
        r = transaction(router, data + b"\r\nbody\r\n")
        tap.ok(r.startswith("250"), "N-162 %s: taken, with what fits" % name, r)
        grown = smtpd_kb(router) - before
        tap.ok(grown < 4096, "N-162 and memory stays (%d KiB)" % grown)


def patterns(router):
    evil = b"a" * 60000 + b"b"
    for where, data in (("header", b"X-Evil: " + evil + b"\r\n\r\nx\r\n"), ("body", b"Subject: x\r\n\r\nEVIL " + evil[-1000:] + b"\r\n")):
        r = transaction(router, data)
        tap.ok(r.startswith("451 4.3.0"), "N-170 a pattern without end in %s_checks: try again later" % where, r)
        tap.ok(router.logged("pcre", "%s_checks" % where), "N-170 and the log says which", router.log()[-800:])
    r = transaction(router, b"Subject: y\r\n\r\ny\r\n")
    tap.ok(r.startswith("250"), "N-170 other mail is not affected", r)


def loops(router):
    r = transaction(router, b"rEcEiVeD: by x; y\r\n" * 51 + b"\r\nx\r\n")
    tap.ok(r.startswith("554 5.4.0"), "N-174 Received: in another case counts", r)
    r = transaction(router, b"Received : by x; y\r\n" * 51 + b"\r\nx\r\n")
    tap.ok(r.startswith("554 5.4.0"), "N-174 and with a blank in front of the colon", r)


def delivered(router):
    if os.geteuid() != 0:
        return
    for spelling in (b"dElIvErEd-tO: GAMES@HERE.test", b"Delivered-To:\r\n games@here.test", b"Delivered-To: games@here.test "):
        n = router.log().count("5.4.6")
        transaction(router, spelling + b"\r\n\r\nx\r\n", rcpt="games@here.test")
        wait_for("the loop's end", lambda: router.log().count("status=bounced (mail forwarding loop for games@here.test)") > n)
        tap.ok(True, "N-174 a loop is seen in %r" % spelling)


def seven_bits(router, sink):
    text = "gr\u00fc\u00dfe ".encode() * 300
    cases = {
        "plain": (b"Subject: x\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n", text + b"\r\n"),
        "long": (b"Subject: x\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n", text * 3 + b"=\r\n. \r\n"),
        "nomime": (b"Subject: x\r\n\r\n", text[:600] + b"\r\n"),
        "base64": (b"Subject: x\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\nContent-Transfer-Encoding: 8bit\r\n\r\n--b\r\nContent-Transfer-Encoding: base64\r\n\r\n",
                   b"QUJD" + "\u00fc".encode() + b"\r\n--b--\r\n"),
        "open": (b"Subject: x\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: text/plain\r\nContent-Transfer-Encoding: 8bit\r\n\r\n",
                 text[:600] + b"\r\nno end of the part\r\n"),
    }
    for name, (head, body) in cases.items():
        r = transaction(router, head + body.replace(b"\r\n.", b"\r\n.."), name, "r@seven.test", " BODY=8BITMIME")
        tap.ok(r.startswith("250"), "N-169 8-bit mail (%s) is taken" % name, r)
        qid = r.rsplit(" ", 1)[1]
        line = router.wait_log(qid + ": to=<r@seven.test>")[0]
        got = sink.contents.get(name)
        if got is None:
            tap.ok("dsn=5.6.3" in line, "N-169 %s: it cannot be converted, and the sender hears of it" % name, line)
            continue
        if name in ("nomime", "base64"):        # nothing says that this is 8-bit text: it goes as it is, as from Postfix
            tap.ok("status=sent" in line and body.rstrip() in got, "N-169 %s: what lies about itself is not touched" % name, got[-300:])
            continue
        tap.ok("status=sent" in line and all(b < 128 for b in got), "N-169 %s: no 8-bit byte goes to a server that has not offered it" % name, got[-300:])
        decoded = quopri.decodestring(got.replace(b"\r\n", b"\n")).replace(b"\n", b"\r\n")
        tap.ok(body.rstrip() in decoded, "N-169 %s: and nothing is lost" % name, got[-600:])


def main():
    sink = SevenBit()
    config = ("message_size_limit = 20000000\nmailbox_size_limit = 30000000\ntransport_maps = inline:{{seven.test=smtp:[127.0.0.1]:%d}, {discard.test=discard:}, {client.example=discard:}}\n"
              "header_checks = pcre:{{/^X-Evil: (a+)+$$/ REJECT evil}}\nbody_checks = pcre:{{/^EVIL (a+)+$$/ REJECT evil}}\n"
              "mydestination = here.test\nlocal_recipient_maps =\nmail_spool_directory = @DIR@/box/\n" % sink.port)
    with Instance(config, "local unix - n n - - local\n") as router:
        header_bombs(router)
        patterns(router)
        loops(router)
        delivered(router)
        seven_bits(router, sink)
        wait_for("an empty queue", router.queue_is_empty)
    sys.exit(tap.done())


main()
