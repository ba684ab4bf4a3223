#!/usr/bin/env python3
"""proxy.t: before-queue filters that are attacked, or that fail: rows N-013, N-014 and N-015 of the catalogue of negative tests."""
import os
import socket
import sys
import threading

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from instance import Client, Instance, Tap, free_port                             # noqa: E402

BROKEN = "451 4.3.0 Error: queue file write error"
tap = Tap()
ports = {k: free_port() for k in ("plain", "held", "filter", "small")}
HEADER = "From: a@x.example\r\nTo: b@x.example\r\nSubject: x\r\n\r\n"


class Filter:
    """An SMTP server that keeps the bytes of each content as they came.  script: {verb: [reply, ...]} overrides; bytes; None: hang up."""

    def __init__(self, port):
        self.s = socket.create_server(("127.0.0.1", port))
        self.script, self.contents, self.commands = {}, [], []
        threading.Thread(target=self.run, daemon=True).start()

    def run(self):
        while True:
            c, _ = self.s.accept()
            threading.Thread(target=self.serve, args=(c,), daemon=True).start()

    def say(self, c, verb, default):
        todo = self.script.get(verb)
        text = todo.pop(0) if todo else default
        if text is None:
            raise EOFError
        c.sendall(text if isinstance(text, bytes) else text.encode() + b"\r\n")
        return text

    def serve(self, c):
        f = c.makefile("rb")
        try:
            self.say(c, "connect", "220 filter")
            while True:
                line = f.readline()
                if not line:
                    return
                self.commands.append(line)
                verb = line.split()[0].decode().upper()
                if verb == "DATA":
                    if self.say(c, "DATA", "354 go")[:1] not in "3":
                        continue
                    self.content(f)
                    self.say(c, ".", "250 2.0.0 filtered")
                elif verb == "EHLO":
                    self.say(c, verb, "250-filter\r\n250 XFORWARD NAME ADDR PROTO HELO")
                elif verb == "QUIT":
                    return
                else:
                    self.say(c, verb, "250 ok")
        except (EOFError, OSError):
            pass
        finally:
            c.close()

    def content(self, f):
        """Only CR LF . CR LF ends it: what a loose server would see is looked for in the bytes."""
        lines = []
        while not (lines and lines[-1] == b".\r\n" and (len(lines) == 1 or lines[-2].endswith(b"\r\n"))):
            lines.append(f.readline())
            if not lines[-1]:
                raise EOFError
        self.contents.append(b"".join(lines))


def listener(name, options):
    return "127.0.0.1:%d inet n - n - - smtpd -o smtpd_proxy_filter=127.0.0.1:%d -o smtpd_proxy_timeout=3s %s\n" % (ports[name], ports["filter"], options)


inst = Instance("smtpd_forbid_bare_newline_exclusions = 127.0.0.0/8\n", listener("plain", "") + listener("held", "-o smtpd_proxy_options=speed_adjust") +
                listener("small", "-o message_size_limit=50000"))
flt = Filter(ports["filter"])


def send(raw, port="plain", bdat=False):
    """The last reply; raw: the bytes after DATA with their end."""
    c = Client(ports[port])
    for x in ("EHLO c.example", "MAIL FROM:<a@x.example>", "RCPT TO:<b@x.example>"):
        r = c.cmd(x)
        if r[:1] != "2":
            return r
    if bdat:
        c.s.sendall(b"BDAT %d LAST\r\n" % len(raw) + raw)
        r = c.reply()
    else:
        r = c.cmd("DATA")
        if r[:3] == "354":
            c.s.sendall(raw)
            r = c.reply()
    c.s.close()
    return r


def clean(data):
    """No CR and no LF but in pairs; no end of data before the end."""
    rest = data.replace(b"\r\n", b"")
    return b"\r" not in rest and b"\n" not in rest and data.count(b"\r\n.\r\n") == 1


def smuggling():
    tricks = [b"\n.\r\n", b"\r.\r\n", b"\r\n.\n", b"\r\n.\r", b"\n.\n", b"\r.\r", b"\r\r\n.\r\r\n", b"\n\r.\r\n", b"a\rb\r\r\n", b"\0\r\n.\r\0\n"]
    for port in ("plain", "held"):
        for t in tricks:
            flt.contents.clear()
            send(HEADER.encode() + b"before" + t + b"MAIL FROM:<evil@x.example>\r\nRCPT TO:<b@x.example>\r\nDATA\r\nevil\r\n.\r\nQUIT\r\n", port)
            tap.ok(len(flt.contents) >= 1 and all(clean(x) for x in flt.contents), "N-013 %r (%s)" % (t, port), flt.contents)
        flt.contents.clear()
        r = send(HEADER.encode() + b"a\rb\n.\n..\r\n.\r\nlast\r", port, bdat=True)
        tap.ok(r.startswith("250 2.0.0 filtered") and len(flt.contents) == 1 and clean(flt.contents[0]) and b"a b\r\n..\r\n...\r\n..\r\nlast" in flt.contents[0],
               "N-013 BDAT (%s)" % port, (r, flt.contents))


def first_lines():
    for first in (".", "", " space", ".dots"):
        flt.contents.clear()
        r = send((("." if first[:1] == "." else "") + first + "\r\nbody\r\n.\r\n").encode())
        lines = flt.contents[0].split(b"\r\n") if flt.contents else []
        at = [i for i, l in enumerate(lines) if l[:1] not in (b"\t", b" ") and not l.startswith(b"Received:")]
        want = b"." + first.encode() if first[:1] == "." else first.encode()
        tap.ok(r.startswith("250") and lines and clean(flt.contents[0]) and want in lines[:at[0] + 4] and lines[0].startswith(b"Received:"),
               "N-014 our header stands before a first line %r and merges with nothing" % first, (r, lines))
    for first in ("From x", ">From x", ">>>From x"):
        flt.contents.clear()
        send((first + "\r\n" + HEADER + "body\r\n.\r\n").encode())
        tap.ok(flt.contents and ("\r\nX-Mailbox-Line: %s\r\nFrom: a@x.example\r\n" % first).encode() in flt.contents[0], "N-015 %s" % first, flt.contents)
    for port, through in (("small", "the filter"),):
        r = send(b"From " + b"x" * 10000000 + b"\r\n.\r\n", port)
        tap.eq(r, "552 5.3.4 Error: message file too big", "N-015 10 MB without a line end through %s" % through)


def failures():
    for port in ("plain", "held"):
        for verb, reply, want in (("connect", "554 5.7.1 go away", BROKEN), ("EHLO", None, BROKEN), ("MAIL", b"garbage\r\n", BROKEN), ("RCPT", b"2" * 3000, BROKEN),
                                  ("RCPT", "550 5.1.1 no", "550 5.1.1 no"), ("DATA", "250 what", BROKEN), ("DATA", None, BROKEN), (".", None, BROKEN),
                                  (".", b"", BROKEN), (".", "354 more", BROKEN), (".", b"250-a\r\n550 b\r\n", BROKEN), (".", b"250 \x1b[31m\0ok\r\n", "250 ?[31m?ok"),
                                  (".", "554 5.7.1 virus", "554 5.7.1 virus"), (".", "421 4.3.2 later", "421 4.3.2 later")):
            flt.script = {verb: [reply]}
            got = send(HEADER.encode() + b"x\r\n.\r\n", port)
            tap.eq(got, want, "%s: %r after %s" % (port, (reply or "hangs up")[:20], verb))
    flt.script = {}
    tap.ok(inst.queue_is_empty(), "nothing was taken")
    big = HEADER.encode() + (b"y" * 70 + b"\r\n") * 20000 + b".\r\n"
    flt.contents.clear()
    r = send(big, "held")
    tap.ok(r.startswith("250 2.0.0 filtered") and flt.contents[0].endswith(big[len(HEADER):]), "a message larger than what is held in memory",
           "%s, %d messages, %s bytes" % (r, len(flt.contents), [len(x) for x in flt.contents]) + "".join(inst.log()[-2000:]))
    flt.s.close()


def main():
    with inst:
        smuggling()
        first_lines()
        failures()
    return tap.done()


sys.exit(main())
