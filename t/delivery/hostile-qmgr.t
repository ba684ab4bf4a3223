#!/usr/bin/env python3
"""hostile-qmgr.t: N-316: a queue manager that has been broken into tells the root agent what to deliver.

Somebody listens in the place of private/qmgr and asks for deliveries of a message that lies in the queue: the root agent must not run, write or read anything but
what the configuration says for that service and that user, whatever a request names."""
import copy
import os
import pwd
import random
import signal
import socket
import stat
import struct
import sys
import threading

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from instance import Client, Instance, Tap, wait_for                               # noqa: E402

if os.geteuid() != 0:
    print("1..0 # SKIP needs root")
    sys.exit(0)
tap = Tap()
GAMES = pwd.getpwnam("games")
HELLO_AGENT, DELIVER, RESULT, DONE = 4, 5, 6, 7
SENT = "\0"             # the byte of status (enum ph_delivery_status) with which a result begins
inst = Instance("mydestination = here.test\nmydomain = test\nlocal_recipient_maps =\nmail_spool_directory = @DIR@/mail/\nrelay_domains = pipe.test\n"
                "transport_maps = inline:{pipe.test=filter:}\n",
                "local unix - n n - - local\nfilter unix - n n - - pipe user=games argv=@DIR@/tool ${sender} ${recipient} ${nexthop}\n")
box = inst.dir + "/mail"
os.chmod(box, 0o1777)
with open(inst.dir + "/tool", "w") as f:
    f.write("#!/bin/sh\ncat > /dev/null\n{ id -u; echo $#; printf '%%s\\n' \"$@\"; echo --; } >> %s/seen\n" % box)
os.chmod(inst.dir + "/tool", 0o755)


# ---- the frames -------------------------------------------------------------------------------
class Request:
    """Of a message that lies in the queue (its records: core/queue/record.h), for games@here.test."""

    def __init__(self, qid, file):
        data = open(inst.dir + "/spool/" + file, "rb").read()
        record = lambda at: (data[at + 12], int.from_bytes(data[at + 8:at + 12], "little"))         # noqa: E731
        at, self.place = 4096, None
        while at < len(data) and not self.place:
            head, total = at, int.from_bytes(data[at + 32:at + 40], "little")
            if data[at + 40:at + 40 + len(qid)] == qid:
                while record(at)[0] != 4:                       # ENVELOPE
                    at += 16 + (record(at)[1] + 7 & ~7)
                self.place = [int.from_bytes(data[head + 24:head + 32], "little"), head, total, 16 + record(at)[1]]
            at = head + total
        self.qid, self.file, self.service, self.nexthop, self.sender = qid, file.encode(), b"local", b"here.test", b"s@client.example"
        self.id, self.flags, self.bytes, self.arrival, self.active = 0, 0, 0, 1, 1
        self.envid = self.ret = None
        self.encoding, self.attrs, self.rcpts = b"", [], [[0, 0, b"games@here.test", None, None, None]]

    def encode(self):
        s = lambda t: struct.pack("<I", len(t)) + t                                 # noqa: E731
        o = lambda t: b"\0" if t is None else b"\1" + s(t)                          # noqa: E731
        out = struct.pack("<Q", self.id) + s(self.qid) + s(self.file) + struct.pack("<QQQI", *self.place) + s(self.service) + s(self.nexthop) + s(self.sender)
        out += o(self.envid) + o(self.ret) + s(self.encoding) + struct.pack("<IQQQ", self.flags, self.bytes, self.arrival, self.active)
        out += struct.pack("<I", len(self.attrs)) + b"".join(s(a) + s(b) for a, b in self.attrs)
        return out + struct.pack("<I", len(self.rcpts)) + b"".join(struct.pack("<II", i, n) + s(a) + o(r) + o(d) + o(t) for i, n, a, r, d, t in self.rcpts)


def frame(kind, payload):
    return struct.pack("<IH", len(payload) + 2, kind) + payload


def frames(s):
    have = b""
    while True:
        while len(have) >= 6 and len(have) >= 4 + int.from_bytes(have[:4], "little"):
            n = 4 + int.from_bytes(have[:4], "little")
            yield int.from_bytes(have[4:6], "little"), have[6:n]
            have = have[n:]
        try:
            d = s.recv(1 << 20)
        except OSError:
            return
        if not d:
            return
        have += d


class Hostile:
    """Listens where the queue manager did."""

    def __init__(self, request):
        self.path = inst.dir + "/spool/private/qmgr"
        os.rename(self.path, self.path + ".real")
        self.request, self.agent, self.answers, self.n = request, None, {}, 0
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(self.path)
        os.chmod(self.path, 0o777)
        self.listener.listen()
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                threading.Thread(target=self.hear, args=(self.listener.accept()[0],), daemon=True).start()
            except OSError:
                return

    def hear(self, a):
        for kind, payload in frames(a):
            if kind == HELLO_AGENT and payload[5] == 1:
                self.agent = a
            elif kind in (RESULT, DONE):
                self.answers.setdefault(int.from_bytes(payload[:8], "little"), []).append((kind, payload))

    def leave(self):
        self.listener.close()
        os.rename(self.path + ".real", self.path)

    def ask(self, may_refuse=False, **changes):
        """The results from their status on, or None where the agent does not take the request."""
        r = copy.deepcopy(self.request)
        self.n += 1
        r.id = self.n
        for k, v in changes.items():
            if k == "address":
                r.rcpts[0][2] = v
            else:
                setattr(r, k, v)
        cannot = lambda: inst.log().count("a delivery request cannot be read")        # noqa: E731
        before = cannot()
        self.agent.sendall(frame(DELIVER, r.encode()))
        wait_for("an answer to %r" % changes, lambda: any(k == DONE for k, _ in self.answers.get(r.id, [])) or may_refuse and cannot() > before)
        got = self.answers.get(r.id)
        return got and [p[12:].decode("latin-1") for k, p in got if k == RESULT]


def root_agent():
    return next((p for p, n in inst.processes().items() if n == "root-agent"), 0)


def send(rcpt):
    c = Client(inst.port)
    r = c.send("s@client.example", [rcpt], "Subject: x\n\nx\n")
    c.quit()
    return r


def new(user):
    d = "%s/%s/new" % (box, user)
    return len(os.listdir(d)) if os.path.isdir(d) else 0


def seen():
    try:
        return open(box + "/seen").read()
    except OSError:
        return ""


with inst:
    qid = send("games@here.test").split()[-1]
    wait_for("delivery", lambda: new("games"))
    m = Hostile(Request(qid.encode(), "incoming/" + next(f for f in os.listdir(inst.dir + "/spool/incoming") if qid.encode() in open(inst.dir + "/spool/incoming/" + f, "rb").read())))
    old = root_agent()
    os.kill(old, signal.SIGKILL)
    wait_for("the successor", lambda: root_agent() not in (0, old) and m.agent)
    agent = root_agent()
    evil, target = inst.dir + "/mail/evil", inst.dir + "/spool/incoming/SEE"
    r = m.ask()
    tap.ok(r is not None and [x[0] for x in r] == [SENT] and new("games") == 2, "the frame is understood: the message is delivered once more", r)

    for address in (b"|touch " + evil.encode(), b"/" + evil.encode(), b'"|touch ' + evil.encode() + b'"@here.test', b":include:/etc/shadow", b"../evil", b"games/../evil@here.test",
                    b"/../evil@here.test", b"~root@here.test", b"games\n|touch " + evil.encode(), b"root", b"root@here.test", b"\\root@here.test", b"0", b"-h@here.test", b"",
                    b"x" * 70000, b"games\xff\xfe@here.test"):
        r = m.ask(address=address)
        tap.ok(r is not None and len(r) == 1 and not os.path.exists(evil) and not os.path.exists(box + "/root"), "N-316 recipient %r" % address[:30], r)
    tap.eq(sorted(os.listdir(box)), ["games"], "N-316 nothing but the mailbox of the one user is there")

    for service in (b"", b"qmgr", b"smtpd", b"../local", b"/bin/sh", b"local\n", b"x" * 100000):
        r = m.ask(service=service)
        tap.ok(r is not None and r and all("4." in x for x in r), "N-316 service %r" % service[:20], r)

    os.symlink("/etc/shadow", target)
    for name in (b"../../../../etc/shadow", b"/etc/shadow", b"incoming/../../etc/passwd", b"incoming/.", b"", b"data/x", b"incoming/" + b"x" * 100):
        tap.eq(m.ask(True, file=name), None, "N-316 file %r: not a request" % name[:30])
    r = m.ask(file=b"incoming/SEE")
    tap.ok(r is not None and r and "4." in r[0], "N-316 a link in the queue is not followed", r)
    os.unlink(target)
    place = m.request.place
    for wrong in ([place[0] + 1] + place[1:], [place[0], 0] + place[2:], [place[0], 1 << 62] + place[2:], [place[0], place[1] + 8] + place[2:], place[:2] + [1 << 61, place[3]],
                  place[:3] + [0xffffffff]):
        r = m.ask(True, place=wrong)
        tap.ok(r is None or r and all(x[0] != SENT for x in r), "N-316 place %r" % wrong, r)
    tap.eq(new("games"), 2, "N-316 none of these was delivered")

    for address in (b"a; touch %s@pipe.test" % evil.encode(), b"$(touch %s)@pipe.test" % evil.encode(), b"-u root@pipe.test", b"two words@pipe.test"):
        before = seen()
        r = m.ask(service=b"filter", nexthop=b"pipe.test", address=address, attrs=[(b"user", b"root"), (b"uid", b"0"), (b"argv", b"/bin/sh")], flags=0)
        said = seen()[len(before):].split("\n")
        tap.ok(said[0] == str(GAMES.pw_uid) and said[1] == "3" and not os.path.exists(evil), "N-316 pipe: the command of master.cf, as its user, %r one argument" % address[:20], (r, said))

    rnd = random.Random(316)
    m.request.id = 5000
    real = m.request.encode()
    for _ in range(200):
        b = bytearray(real)
        for _ in range(rnd.choice((1, 1, 2, 8))):
            b[rnd.randrange(8, len(b))] = rnd.choice((0, 1, 127, 255, rnd.randrange(256)))
        m.agent.sendall(frame(DELIVER, bytes(b[:rnd.choice((len(b), len(b), rnd.randrange(len(b))))])))
    for kind in (0, 1, 2, 9, 64, 999):
        m.agent.sendall(frame(kind, rnd.randbytes(40)))
    r = m.ask()
    tap.ok(r is not None and root_agent() == agent, "N-316 two hundred broken requests: the same process serves on", r)
    m.agent.sendall(b"\xff\xff\xff\x7f\x05\x00" + b"x" * 100)
    inst.wait_log("connection to the queue manager")
    m.leave()
    n = new("games")
    send("games@here.test")
    wait_for("delivery", lambda: new("games") > n)
    tap.ok(root_agent() == agent, "N-316 a frame that is too long ends the connection, not the process")
    strangers = [f for d, _, fs in os.walk(box) for f in [os.path.join(d, x) for x in fs] if os.stat(f).st_uid != GAMES.pw_uid or stat.S_IMODE(os.stat(f).st_mode) & 0o6000]
    tap.ok(not strangers and not os.path.exists(evil) and not os.path.exists(box + "/root"), "N-316 every file that was written is the user's own", strangers)
sys.exit(tap.done())
