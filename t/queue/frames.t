#!/usr/bin/env python3
"""frames.t: N-234: what is no frame, or no request, on the queue manager's two sockets: a warning or an error, and it serves on."""
import grp
import json
import os
import random
import signal
import socket
import struct
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from instance import Client, Instance, Tap, wait_for                               # noqa: E402

tap = Tap()
inst = Instance("default_transport = discard:away\n")
CTL, LINE, END = 64, 65, 66


def connect(name):
    s = socket.socket(socket.AF_UNIX)
    s.settimeout(20)
    s.connect(inst.dir + "/spool/" + name)
    return s


def frame(kind, payload, length=None):
    return struct.pack("<IH", len(payload) + 2 if length is None else length, kind) + payload


def text(b):
    return struct.pack("<I", len(b)) + b


def said(data, name="public/qmgr"):
    """What comes back until the other side closes, or has answered a request."""
    s, got = connect(name), b""
    try:
        s.sendall(data)
        s.shutdown(socket.SHUT_WR)
        while True:
            d = s.recv(65536)
            if not d:
                return got
            got += d
    except ConnectionError:
        return got
    finally:
        s.close()


def ended(data, name, half=False):
    """Whether the server ends the connection: by itself, or (half a frame) when it hears that no more comes.  Nothing may come back."""
    s = connect(name)
    s.settimeout(10)
    try:
        s.sendall(data)
        if half:
            s.shutdown(socket.SHUT_WR)
        return s.recv(65536) == b""
    except ConnectionError:
        return True
    except TimeoutError:
        return False
    finally:
        s.close()


def status(answer):
    """(status, text) of the first CTL_END."""
    while answer:
        n, kind = struct.unpack("<IH", answer[:6])
        if kind == END:
            return struct.unpack("<I", answer[6:10])[0], answer[14:4 + n].decode()
        answer = answer[4 + n:]
    return None


def serves():
    c = Client(inst.port)
    r = c.send("s@client.example", ["r@away.test"], "Subject: x\n\nx\n")
    c.quit()
    return r.startswith("250") and "Mail queue is empty" in wait_for("an empty queue", lambda: inst.queue_is_empty() and inst.command("postqueue", "-p").stdout)


def qmgr():
    return [p for p, n in inst.processes().items() if n == "qmgr"]


with inst:
    before = qmgr()
    for what, request in (("no JSON", b"hello"), ("cut JSON", b'{"cmd":"list"'), ("an array", b"[]"), ("a number", b"7"), ("nothing", b""), ("no command", b"{}"),
                          ("an unknown command", b'{"cmd":"dance"}'), ("a command of another type", b'{"cmd":["list"]}'), ("deep nesting", b"[" * 100000),
                          ("not UTF-8", b'{"cmd":"\xff\xfe"}'), ("a NUL", b'{"cmd":"list\\u0000"}'), ("two commands of one name", b'{"cmd":"list","cmd":"flush"}'),
                          ("an id that is none", b'{"cmd":"flush-id","id":"../../etc/passwd"}'), ("ids of another type", b'{"cmd":"super","op":"delete","ids":{"a":1}}'),
                          ("an unknown operation", b'{"cmd":"super","op":"destroy","all":true}'), ("an unknown queue", b'{"cmd":"super","op":"delete","all":true,"queues":["../x"]}')):
        end = status(said(frame(CTL, text(request))))
        tap.ok(end and end[0] != 0 and end[1], "N-234 %s: an error" % what, end)
    end = status(said(frame(CTL, b"\xff\xff\xff\x7f" + b"{}")))
    tap.ok(end and end[0] != 0 and end[1] == "not a JSON object", "N-234 a text that is longer than its frame: an error", end)
    for what, data in (("2 GB of length", frame(CTL, b"x" * 100, 0x7fffffff)), ("no length", frame(CTL, b"", 0)), ("a frame that is cut", frame(CTL, b"x" * 100)[:50]),
                       ("half a head", b"\1\2\3"), ("another kind", frame(5, b"x" * 20)), ("a descriptor that is not there", frame(CTL | 0x8000, text(b"{}"))),
                       ("noise", random.Random(234).randbytes(5000))):
        for name in ("public/qmgr", "private/qmgr"):
            half = what in ("a frame that is cut", "half a head")
            tap.ok(ended(data, name, half), "N-234 %s on %s: the connection ends" % (what, name))
    hello = struct.pack("<IB", os.getpid(), 3)
    for what, data, line in (("an intake with 4 G segments", frame(1, hello + b"\xff\xff\xff\xff"), "damaged list of open segments from process %d"),
                             ("an agent with 4 G deliveries", frame(4, hello + b"\1" + text(b"journal/x") + b"\xff\xff\xff\xff"), "damaged HELLO frame from agent %d")):
        tap.ok(ended(data, "private/qmgr"), "N-234 %s: the connection ends" % what)
        tap.ok(inst.logged(line % os.getpid()), "N-234 %s: the log tells" % what)
    for what, data in (("an agent whose journal is elsewhere", frame(4, hello + b"\1" + text(b"../../etc/passwd") + b"\0\0\0\0")),
                       ("somebody else's process", frame(4, struct.pack("<IB", before[0], 3) + b"\0" + text(b"journal/J03.00000001") + b"\0\0\0\0"))):
        tap.eq(said(data, "private/qmgr"), b"", "N-234 %s: nothing is told to it" % what)
    r = said(frame(CTL, text(json.dumps({"cmd": "list", "format": "json"}).encode())) * 3)
    tap.eq([status(r)[0], r.count(struct.pack("<H", END))], [0, 3], "three requests at once: three answers")
    quiet = [connect("private/qmgr") for _ in range(100)]
    if os.geteuid() == 0:           # somebody who may run postqueue(1), and holds its connections
        r, w = os.pipe()
        child = os.fork()
        if child == 0:
            os.setgroups([])
            os.setgid(grp.getgrnam(inst.group).gr_gid)
            os.setuid(65534)
            held = [connect("public/qmgr") for _ in range(300)]
            os.write(w, b"x")
            signal.pause()
        os.read(r, 1)
    tap.ok(serves(), "N-234 connections that say nothing keep nobody out: mail goes on, and root's commands")
    if os.geteuid() == 0:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    for s in quiet:
        s.close()
    tap.ok(serves() and qmgr() == before, "N-234 the same queue manager serves on")
    tap.ok(inst.logged("a connection began with frame 5"), "and the log tells")
sys.exit(tap.done())
