#!/usr/bin/env python3
"""dnslate.t: N-200: a DNS list that never answers; N-347: answers that come when the session that asked is gone."""
import os
import socket
import struct
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from instance import Client, Instance, Tap, dnsd, free_port, own_network, wait_for    # noqa: E402

SILENT, SLOW, SCREEN, HOSTILE, EVIL = (free_port() for _ in range(5))
ZONE = """
*.silent.test !timeout
*.slow.test !slow
2.0.0.127.bl.test A 127.0.0.2
1.0.0.127.bl.test A 127.0.0.2
1.0.0.127.bl.test TXT "listed here"
1.0.0.127.evil.test A 127.0.0.2
1.0.0.127.evil.test raw TXT 17780d0a32353020322e302e302024726563697069656e74
1.0.0.127.long.test A 127.0.0.2
1.0.0.127.long.test TXT*300 "yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy"
1.0.0.127.odd.test raw A 7f0000
1.0.0.127.odd.test raw A 7f000002ff
"""
MAIN = """
mydestination = test.example
local_transport = discard:
smtpd_relay_restrictions = reject_unauth_destination
"""
MASTER = """
127.0.0.1:%d inet n - n - - smtpd -o smtpd_client_restrictions=reject_rbl_client,silent.test,reject_rbl_client,bl.test
127.0.0.1:%d inet n - n - - smtpd -o smtpd_client_restrictions=reject_rbl_client,evil.test
127.0.0.1:%d inet n - n - - smtpd -o smtpd_client_restrictions=reject_rbl_client,slow.test
127.0.0.1:%d inet n - n - 1 postscreen -o postscreen_dnsbl_sites=slow.test -o postscreen_greet_wait=2s -o postscreen_access_list=
smtpd pass - - n - - smtpd
127.0.0.1:%d inet n - n - - smtpd -o smtpd_client_restrictions=reject_rbl_client,odd.test,reject_rbl_client,long.test
""" % (SILENT, EVIL, SLOW, SCREEN, HOSTILE)
N = 30
tap = Tap()


def silent(inst):
    c = Client(SILENT)
    for line in ("EHLO c.example", "MAIL FROM:<a@x.example>"):
        c.cmd(line)
    r = c.cmd("RCPT TO:<b@test.example>")
    tap.ok(r.startswith("554 5.7.1 Service unavailable; Client host [127.0.0.1] blocked using bl.test; listed here"), "N-200 a silent list has no opinion; the next one is heard", r)
    tap.ok(inst.wait_log("1.0.0.127.silent.test: RBL lookup error"), "... and the log says which was silent")
    c.quit()


def hostile(inst):
    """N-199: addresses that are none, TXT records with line ends and macros, and more of them than a reply can hold."""
    c = Client(HOSTILE)
    for line in ("EHLO c.example", "MAIL FROM:<a@x.example>"):
        c.cmd(line)
    r = c.cmd("RCPT TO:<b@test.example>")
    tap.ok("blocked using long.test" in r and "\n" not in r and len(r) < 1000, "N-199 60 KB of TXT records are one line that ends, odd addresses none", r)
    tap.ok(c.cmd("NOOP").startswith("250"), "... and the dialogue is in step")
    c.quit()
    c = Client(EVIL)
    for line in ("EHLO c.example", "MAIL FROM:<a@x.example>"):
        c.cmd(line)
    r = c.cmd("RCPT TO:<b@test.example>")
    tap.ok("blocked using evil.test; x" in r and "\n" not in r and c.cmd("NOOP") == "250 2.0.0 Ok", "N-199 a line end in a TXT record ends nothing", r)
    c.quit()


def screen_and_go(reset):
    s = socket.create_connection(("127.0.0.1", SCREEN), 10)
    if reset:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    s.close()


def ask_and_go(reset):
    s = socket.create_connection(("127.0.0.1", SLOW), 10)
    s.recv(1000)
    for line in ("EHLO c.example", "MAIL FROM:<a@x.example>"):
        s.sendall(line.encode() + b"\r\n")
        s.recv(1000)
    s.sendall(b"RCPT TO:<b@test.example>\r\n")
    if reset:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    s.close()


def late(inst):
    before = inst.processes()
    for i in range(N):
        ask_and_go(i % 2 == 1)
        screen_and_go(i % 2 == 1)
    wait_for("postscreen's clients", lambda: len([l for l in inst.log().split("\n") if "HANGUP after" in l]) >= N, 30)
    wait_for("the end of all sessions", lambda: len([l for l in inst.log().split("\n") if "disconnect from" in l and "mail=1" in l]) >= N, 30)
    end = time.monotonic() + 3.5            # by then the answers have come
    while True:
        c = Client(SLOW)
        r = c.send("a@x.example", ["b@test.example"], "Subject: x\n\nbody\n")
        c.quit()
        if "queued as" not in r or time.monotonic() > end:
            break
    tap.ok("queued as" in r, "N-347 while answers come to sessions that are gone, mail is taken", r)
    tap.eq(inst.processes(), before, "... by the same processes")


def main():
    if os.geteuid() != 0:
        print("1..0 # SKIP needs root: a network namespace")
        return 0
    own_network(__file__, "timeout:1 attempts:1")     # answers come after 3 s: nobody waits that long
    inst = Instance(MAIN, MASTER)
    dns = dnsd(inst.dir, ZONE)
    try:
        with inst:
            silent(inst)
            hostile(inst)
            late(inst)
    finally:
        dns.terminate()
        dns.wait()
    return tap.done()


sys.exit(main())
