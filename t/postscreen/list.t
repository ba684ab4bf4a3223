#!/usr/bin/env python3
"""postscreen: what it remembers across restarts and damage, PROXY headers of hostile clients, clients that leave before the DNS lists have answered."""
import os
import socket
import struct
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from instance import Client, Instance, Tap, free_port, wait_for

t = Tap()
port, proxied = free_port(), free_port()
MAIN = """
postscreen_access_list =
postscreen_greet_wait = 1s
postscreen_cache_map = btree:@DIR@/data/postscreen_cache
postscreen_upstream_proxy_timeout = 2s
"""
MASTER = """
127.0.0.1:%d inet n - n - 1 postscreen
127.0.0.1:%d inet n - n - 1 postscreen
  -o postscreen_upstream_proxy_protocol=haproxy
  -o postscreen_pipelining_enable=yes
  -o postscreen_cache_map=
smtpd pass - - n - - smtpd
""" % (port, proxied)


def count(i, text):
    return sum(text in l for l in i.log().split("\n"))


def visit(p=port, n=1):
    c = Client(p)
    c.cmd("EHLO x.test")
    c.quit()
    return c.banner


def raw(data=b"", p=proxied):
    s = socket.create_connection(("127.0.0.1", p), 20)
    if data:
        s.sendall(data)
    return s


def rest(s):
    """All that comes until the other side closes."""
    data = b""
    while True:
        try:
            d = s.recv(4096)
        except ConnectionResetError:
            d = b""
        if not d:
            return data
        data += d


def reset(s):
    s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    s.close()


with Instance(MAIN, MASTER) as i:
    table = "btree:%s/data/postscreen_cache" % i.dir

    def entry():
        return i.command("postmap", "-q", "127.0.0.1", table).stdout.strip()

    t.ok(visit().startswith("220-"), "a stranger waits for the whole greeting")
    t.ok(i.wait_log("PASS NEW [127.0.0.1]"), "... and passes")
    t.ok(not visit().startswith("220-") and i.wait_log("PASS OLD"), "who has passed does not wait again")
    stamp = wait_for("the entry in the file", entry)
    t.ok(int(stamp.split(";")[0]) > time.time() + 80000, "the file has it, in Postfix's form", stamp)

    i.command("postfix", "stop", check=True)
    wait_for("the router to end", lambda: not i.master_pid() or not i.processes())
    before = count(i, "PASS OLD")
    i.start()
    t.ok(not visit().startswith("220-"), "the list survives a restart")
    t.ok(wait_for("the log line", lambda: count(i, "PASS OLD") > before), "... and says so")

    # N-348: entries that mean nothing are as none; a damaged file costs a delay, no service.
    i.command("postfix", "stop", check=True)
    wait_for("the router to end", lambda: not i.master_pid() or not i.processes())
    for bad in ("garbage", "", ";;;;", "-1;0;0;0;0", "99999999999999999999;0;0;0;0", "1;2;3;4;5;6", "9" * 5000):
        i.command("postmap", "-r", "-i", table, input="127.0.0.1 %s\n" % bad)
        i.start()
        t.ok(visit().startswith("220-"), "N-348 an entry %.20r is no entry" % bad)
        i.command("postfix", "stop", check=True)
        wait_for("the router to end", lambda: not i.master_pid() or not i.processes())
    for what, damage in (("cut", lambda d: d[:len(d) // 2]), ("overwritten", lambda d: b"\xff" * len(d)), ("empty", lambda d: b"")):
        path = i.dir + "/data/postscreen_cache.db"
        data = open(path, "rb").read() or b"x" * 4096
        with open(path, "r+b") as f:
            f.truncate(0)
            f.write(damage(data))
        i.start()
        passed = i.log().count("PASS NEW")
        t.ok(visit().startswith("220-") and wait_for("the client to pass", lambda: i.log().count("PASS NEW") > passed), "N-348 a file that is %s: clients are tested and served" % what, i.log()[-1500:])
        t.ok(not visit().startswith("220-"), "N-348 ... and remembered in memory")
        i.command("postfix", "stop", check=True)
        wait_for("the router to end", lambda: not i.master_pid() or not i.processes())
    os.unlink(path)
    i.start()

    # N-073 .. N-075: PROXY headers.
    v2 = b"\r\n\r\n\0\r\nQUIT\n"
    good = v2 + b"\x21\x11" + struct.pack(">H", 12) + bytes((203, 0, 113, 7, 192, 0, 2, 1)) + struct.pack(">HH", 1000, 25)
    s = raw(good)
    t.ok(s.recv(100).startswith(b"220-") and i.wait_log("CONNECT from [203.0.113.7]:1000 to [192.0.2.1]:25"), "N-073 version 2: the client is who the header says")
    s.close()
    for name, header in (("length 0", v2 + b"\x21\x11\0\0"), ("length 11", v2 + b"\x21\x11\0\x0b" + b"x" * 11), ("length 65535", v2 + b"\x21\x11\xff\xff"),
                         ("version 3", v2 + b"\x31\x11\0\x0c" + b"x" * 12), ("no such family", v2 + b"\x21\x31\0\x0c" + b"x" * 12), ("no such command", v2 + b"\x2f\x11\0\x0c" + b"x" * 12)):
        t.eq(rest(raw(header)), b"421 4.3.2 No system resources\r\n", "N-073 " + name)
    s = raw(v2 + b"\x20\0\0\0")
    t.ok(s.recv(100).startswith(b"220-"), "N-073 LOCAL: the connection's own addresses")
    s.close()
    s = raw()
    s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    for b in b"PROXY TCP4 203.0.113.8 192.0.2.1 1001 25\r\n":
        s.send(bytes((b,)))
    t.ok(s.recv(100).startswith(b"220-") and i.wait_log("CONNECT from [203.0.113.8]:1001"), "N-074 the header byte by byte")
    s.close()
    s = raw(b"PROXY TCP4 203.0.113.9 192.0.2.1 1002 25\r\nEHLO early.test\r\n")
    t.ok(i.wait_log("PREGREET 17 after") and i.logged("from [203.0.113.9]:1002: EHLO early.test"), "N-074 N-048 N-076 what follows it is talk before the greeting, and is not lost")
    data = b""
    while b"250 " not in data:
        d = s.recv(4096)
        if not d:
            break
        data += d
    t.ok(b"250-mx.test.example" in data, "N-076 ... and is answered behind the greeting", data)
    s.close()
    t.eq(rest(raw()), b"421 4.3.2 No system resources\r\n", "N-074 a header that never comes")
    lines = len(i.log().split("\n"))
    for part in (b"", b"PROXY", b"PROXY TCP4 203.0.113.10 192.0.2.1 1003 25\r", v2[:7], v2 + b"\x21\x11\0\x0c\x01\x02"):
        reset(raw(part))
    t.ok(raw(b"PROXY TCP4 203.0.113.13 192.0.2.1 1006 25\r\n").recv(100).startswith(b"220-"), "N-075 resets within the header: others are served")
    said = wait_for("the log to tell of them", lambda: [l for l in i.log().split("\n")[lines - 1:] if "haproxy read" in l])
    t.ok(all(all(32 <= ord(c) < 127 for c in l) for l in said), "N-075 no bytes in the log that nobody has sent", said)

    # N-346: garbage without end.
    s = raw(b"PROXY TCP4 203.0.113.11 192.0.2.1 1004 25\r\n")
    s.recv(100)
    wait_for("the greeting", lambda: b"220 " in s.recv(100))
    try:
        for _ in range(2000):
            s.sendall(b"\xff\0x" * 3000)
        ended = False
    except OSError:
        ended = True
    t.ok(ended or rest(s), "N-346 a line without end ends the session, with a reply where one still arrives")
    t.ok(i.wait_log("COMMAND LENGTH LIMIT from [203.0.113.11]:1004 after CONNECT"), "N-346 ... and the log says why", i.log()[-800:])
    s = raw(b"PROXY TCP4 203.0.113.12 192.0.2.1 1005 25\r\n")
    wait_for("the greeting", lambda: b"220 " in s.recv(4096))
    try:
        s.sendall(b"\0\r\n" * 5000)
        rest(s)
    except OSError:
        pass
    t.ok(i.wait_log("COMMAND COUNT LIMIT from [203.0.113.12]:1005"), "N-346 lines without end end it, too", i.log()[-800:])
    s.close()

    t.ok(not any(w in i.log() for w in ("panic:", "killed by signal", "held the loop")), "nothing has died", [l for l in i.log().split("\n") if "panic" in l or "killed" in l])

# N-347: the DNS lists answer when the client has gone, or never.
dns = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
dns.bind(("127.0.0.1", 0))
asked, release = [], threading.Event()


def answer():
    while True:
        try:
            q, a = dns.recvfrom(4096)
        except OSError:
            return
        asked.append((q, a))
        if release.is_set():
            dns.sendto(reply(q), a)


def reply(q):
    end = q.index(b"\0", 12) + 5
    return q[:2] + b"\x81\x80" + struct.pack(">HHHH", 1, 1, 0, 0) + q[12:end] + b"\xc0\x0c\0\x01\0\x01\0\0\0\x3c\0\x04\x7f\0\0\x02"


threading.Thread(target=answer, daemon=True).start()
i = Instance(MAIN + "postscreen_dnsbl_sites = slow.bl.test\npostscreen_dnsbl_action = drop\npostscreen_dnsbl_timeout = 5s\n", MASTER,
             files={"resolv": "nameserver 127.0.0.1@%d\n" % dns.getsockname()[1]})
i.env["PH_RESOLV_CONF"] = i.etc + "/resolv"
with i:
    gone = [raw(p=port) for _ in range(20)]
    wait_for("the lists to be asked", lambda: asked)
    for s in gone:
        reset(s)
    t.ok(wait_for("all to be gone", lambda: count(i, "DISCONNECT") >= 20), "N-347 clients leave while the lists are asked")
    release.set()
    for q, a in list(asked):
        dns.sendto(reply(q), a)
    t.eq(rest(raw(p=port))[-80:].split(b"\r\n")[-2], b"521 5.7.1 Service unavailable; client [127.0.0.1] blocked using slow.bl.test", "N-347 answers that come late hurt nobody; the next client is judged by them")
    t.ok(i.logged("DNSBL rank 1 for") and not any(w in i.log() for w in ("panic:", "killed by signal")), "nothing has died", i.log()[-800:])
sys.exit(t.done())
