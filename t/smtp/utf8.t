#!/usr/bin/env python3
"""utf8.t: SMTPUTF8 on its way through the router: servers without it, hold, requeue and restart, notifications, and folding in other languages.

N-154 N-155 N-159 N-161"""
import os
import signal
import socket
import subprocess
import sys
import threading

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from instance import INST, Client, Instance, Tap, free_port, wait_for    # noqa: E402

tap = Tap()


def wire(text):
    """UTF-8 as the client's latin-1 text."""
    return text.encode().decode("latin-1")


class Server(threading.Thread):
    def __init__(self, offers, port=0):
        super().__init__(daemon=True)
        self.s = socket.socket()
        self.s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.s.bind(("127.0.0.1", port))
        self.s.listen(20)
        self.port = self.s.getsockname()[1]
        self.offers, self.mails = offers, []
        self.start()

    def run(self):
        while True:
            threading.Thread(target=self.serve, args=(self.s.accept()[0],), daemon=True).start()

    def serve(self, c):
        f, said = c.makefile("rb"), []
        c.sendall(b"220 server\r\n")
        for line in f:
            verb = line[:4].upper()
            said.append(line)
            if verb == b"EHLO":
                c.sendall(b"".join(b"250-%s\r\n" % o for o in self.offers) + b"250 ok\r\n")
                continue
            if verb == b"MAIL":
                said = [line]
            if verb == b"DATA":
                c.sendall(b"354 go\r\n")
                for line in f:
                    said.append(line)
                    if line == b".\r\n":
                        break
                self.mails.append(b"".join(said))
            c.sendall(b"221 bye\r\n" if verb == b"QUIT" else b"250 ok\r\n")
        c.close()


def send(router, sender, rcpt, subject, declared=True):
    c = Client(router.port)
    for l in ("EHLO client.example", "MAIL FROM:<%s>%s" % (wire(sender), " SMTPUTF8" if declared else ""), "RCPT TO:<%s>" % wire(rcpt), "DATA"):
        r = c.cmd(l)
        if r[:1] not in "23":
            break
    else:
        c.s.sendall(("Subject: %s\r\n\r\nx\r\n.\r\n" % subject).encode())
        r = c.reply()
    c.quit()
    return r


def qid_of(reply):
    return reply.rsplit(" ", 1)[1]


def old_server(router, old):
    r = send(router, "a@client.example", "x@old.test", "plain")
    tap.ok("status=sent" in router.wait_log(qid_of(r) + ": to=<x@old.test>")[0], "N-154 ASCII alone, though declared: goes to a server without SMTPUTF8")
    for name, sender, rcpt, subject in (("header", "a@client.example", "x@old.test", "grüße"), ("recipient", "a@client.example", "ü@old.test", "plain"),
                                        ("sender", "é@client.example", "x@old.test", "plain")):
        n = len(old.mails)
        r = send(router, sender, rcpt, subject)
        tap.ok(r.startswith("250"), "a message with another %s is taken" % name, r)
        line = router.wait_log(qid_of(r) + ": to=<")[0]
        tap.ok("dsn=5.6.7" in line and "status=bounced" in line and len(old.mails) == n, "N-154 one with a UTF-8 %s is not sent to it: 5.6.7" % name, line)


def flag_is_kept(router, port):
    ids = [qid_of(send(router, "é@client.example", rcpt, "grüße")) for rcpt in ("x@new.test", "list@alias.test", "held@new.test")]
    for q in ids:
        router.wait_log(q + ": to=<")           # deferred: nobody listens there yet
    router.command("postsuper", "-h", ids[2], check=True)
    os.kill(router.master_pid(), signal.SIGKILL)
    wait_for("the router again", lambda: router.command("postqueue", "-j").stdout.count("queue_name") == 3)
    router.command("postsuper", "-r", ids[0], check=True)
    router.command("postsuper", "-H", ids[2], check=True)
    new = Server([b"8BITMIME", b"SMTPUTF8"], port)
    router.command("postqueue", "-f", check=True)
    wait_for("three mails", lambda: len(new.mails) == 3 or router.command("postqueue", "-f") and False, 20, 0.2)
    tap.ok(all(b"SMTPUTF8" in m.split(b"\r\n", 1)[0] for m in new.mails),
           "N-155 deferred, held, released, requeued, expanded from an alias, and after a crash: SMTPUTF8 it is", [m[:200] for m in new.mails])
    tap.ok(all("grüße".encode() in m for m in new.mails), "N-155 and the header is as it was")


def notification(router, home):
    r = send(router, "é@home.test", "ü@gone.test", "grüße")
    router.wait_log(qid_of(r) + ": sender non-delivery notification")
    wait_for("the notification", lambda: home.mails)
    text = home.mails[-1].decode()
    tap.ok("RCPT TO:<é@home.test>" in text and "SMTPUTF8" in text.split("\r\n", 1)[0], "N-161 the sender is told", text[:300])
    for field in ("X-Posthouse-Sender: utf-8; é@home.test", "Final-Recipient: utf-8; ü@gone.test", "Content-Type: message/global-delivery-status", "Content-Type: message/global\r\n"):
        tap.ok(field in text, "N-161 " + field.strip(), text[-1500:])
    tap.ok("\\303" not in text and "\\xc3" not in text, "N-161 no byte is escaped")


def folding(router):
    c = Client(router.port)
    for l in ("ehlo title.example", "mail from:<i@client.example> size=10", "rcpt to:<LIST@ALIAS.TEST>", "rcpt to:<IINFO@TITLE.TEST>", "rset", "quit"):
        tap.ok(c.cmd(l)[:1] == "2", "N-159 with a Turkish locale: %s" % l, c.transcript)
    names = subprocess.run("for f in %s/lib/libposthouse.so %s/lib/posthouse/*.so; do nm -D --undefined-only $f; done" % (INST, INST), shell=True, capture_output=True, text=True).stdout
    tap.ok("malloc" in names and "setlocale" not in names, "N-159 nothing of ours sets a locale", [l for l in names.split("\n") if "setlocale" in l])


def main():
    old, home, port = Server([b"8BITMIME"]), Server([b"8BITMIME", b"SMTPUTF8"]), free_port()
    config = ("transport_maps = inline:{{old.test=smtp:[127.0.0.1]:%d}, {home.test=smtp:[127.0.0.1]:%d}, {new.test=smtp:[127.0.0.1]:%d}, {gone.test=error:5.1.1 gone}, {client.example=discard:}}\n"
              "virtual_alias_domains = alias.test, title.test\nvirtual_alias_maps = inline:{{list@alias.test=y@new.test}, {iinfo@title.test=y@new.test}}\n"
              "minimal_backoff_time = 1s\nmaximal_backoff_time = 1s\nqueue_run_delay = 1s\nsmtpd_reject_unlisted_recipient = no\n" % (old.port, home.port, port))
    with Instance(config, env={"LANG": "tr_TR.UTF-8", "LC_ALL": "tr_TR.UTF-8"}) as router:
        folding(router)
        old_server(router, old)
        notification(router, home)
        flag_is_kept(router, port)
    sys.exit(tap.done())


main()
