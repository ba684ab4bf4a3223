#!/usr/bin/env python3
"""outbound.t: what our SMTP client puts on the wire, whatever came in and by whichever way: row N-010 of the catalogue of negative tests."""
import os
import re
import socket
import sys
import threading

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from instance import Client, Instance, Tap, free_port, wait_for                   # noqa: E402
from milter import CONTINUE, Milter, body, insert                                 # noqa: E402

TRICKS = ["one\rtwo", "one\ntwo", "a\r.\rb", "a\n.\nb", "a\r\n.\rb", "a\r.\r\nb", "a\n.\r\nb", "a\r\n.\nb", "\r", ".", "..", ".x", "a\r\r\n.\r\r\nb", "\0\r\0", "a\rMAIL FROM:<evil@x.example>"]
tap = Tap()


class Wire:
    """An SMTP server that keeps every byte of each session; each content ends at the first CR LF . CR LF, or LF . LF, or what else a loose parser takes."""

    def __init__(self):
        self.s = socket.create_server(("127.0.0.1", 0))
        self.port = self.s.getsockname()[1]
        self.contents = []
        threading.Thread(target=self.run, daemon=True).start()

    def run(self):
        while True:
            c, _ = self.s.accept()
            threading.Thread(target=self.serve, args=(c,), daemon=True).start()

    def serve(self, c):
        f = c.makefile("rb")
        c.sendall(b"220 wire\r\n")
        try:
            while True:
                line = f.readline()
                if not line:
                    return
                if line.upper().startswith(b"DATA"):
                    c.sendall(b"354 go\r\n")
                    data = b""
                    while not data.endswith(b"\r\n.\r\n"):
                        b = f.read(1)
                        if not b:
                            break
                        data += b
                    self.contents.append(data)
                    c.sendall(b"250 2.0.0 ok\r\n")
                elif line.upper().startswith(b"QUIT"):
                    c.sendall(b"221 bye\r\n")
                    return
                else:
                    c.sendall(b"250-wire\r\n250 8BITMIME\r\n" if line[:4].upper() == b"EHLO" else b"250 2.0.0 ok\r\n")
        except OSError:
            pass
        finally:
            f.close()
            c.close()


wire = Wire()
m = Milter()
FILTERED = free_port()
inst = Instance("relayhost = [127.0.0.1]:%d\nsmtpd_forbid_bare_newline_exclusions = 127.0.0.0/8\nsmtp_connection_cache_on_demand = no\n" % wire.port,
                "127.0.0.1:%d inet n - n - - smtpd -o smtpd_milters=%s\n" % (FILTERED, m.spec))


def fine(data):
    rest = data.replace(b"\r\n", b"")
    ends = len(re.findall(rb"(?:\r\n|\r|\n)\.(?:\r\n|\r|\n)", data))
    return b"\r" not in rest and b"\n" not in rest and data.endswith(b"\r\n.\r\n") and ends == 1


def arrived(what, n):
    wait_for(what, lambda: len(wire.contents) >= n)
    return wire.contents


def smtp(raw, port=None, bdat=False):
    c = Client(port or inst.port)
    for x in ("EHLO c.example", "MAIL FROM:<a@x.example>", "RCPT TO:<b@y.example>"):
        c.cmd(x)
    if bdat:
        c.s.sendall(b"BDAT %d LAST\r\n" % len(raw) + raw)
    else:
        c.cmd("DATA")
        c.s.sendall(raw + b"\r\n.\r\n")
    r = c.reply()
    c.s.close()
    return r


def main():
    head = "From: a@x.example\r\nSubject: x\r\nMessage-Id: <m@x.example>\r\nDate: Thu, 01 Jan 2015 10:00:00 +0000\r\n\r\n"
    with inst:
        for t in TRICKS:
            text = "before\r\n%s\r\nafter" % t
            ways = {
                "DATA": lambda: smtp((head + text).encode()),
                "BDAT": lambda: smtp((head + text + "\r\n").encode(), bdat=True),
                "sendmail": lambda: inst.command("sendmail", "-i", "-f", "a@x.example", "b@y.example", input=head.replace("\r\n", "\n") + text.replace("\0", "?")),
                "sendmail -t": lambda: inst.command("sendmail", "-i", "-t", "-f", "a@x.example", input="To: b@y.example\n" + head.replace("\r\n", "\n") + text.replace("\0", "?")),
                "replacebody": lambda: (m.reset(), m.on("E", insert(1, b"X-M", b"a\rb\n c"), body(text.encode()), CONTINUE), smtp((head + "x").encode(), FILTERED)),
            }
            for name, way in ways.items():
                wire.contents.clear()
                way()
                got = arrived("%s %r" % (name, t), 1)
                tap.ok(all(fine(x) for x in got), "N-010 %s: %r" % (name, t), got)
    return tap.done()


sys.exit(main())
