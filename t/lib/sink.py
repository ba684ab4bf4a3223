#!/usr/bin/env python3
"""A scripted SMTP or LMTP server for tests.  Standard library only.

    sink.py [--lmtp] [--listen ADDR:PORT | --unix PATH] [--log FILE] [--ehlo LIST] [--banner TEXT] [--tls CERT KEY] [RULE ...]

Prints "port N" when it is ready.  Rules, the first that matches wins:
    VERB[~SUBSTRING][xCOUNT]=REPLY
VERB: connect ehlo lhlo helo mail rcpt data eod rset quit starttls xforward auth any.  COUNT: at most so many times, over all sessions.
REPLY: "550 5.1.1 no" ("\\n" separates lines), or !close [reply first], !sleep SECONDS reply, !silent, !raw BYTES (escapes), !flood (a reply without end),
!noread REPLY (nothing is read any more after it).
The log has a line for each thing that was said: "S text", "C text", "D line of content" and "-- event".
"""
import argparse
import base64
import os
import socket
import ssl
import threading
import time

LOCK = threading.Lock()


class Rules:
    def __init__(self, texts):
        self.rules = []
        for text in texts:
            head, _, reply = text.partition("=")
            count = None
            if "x" in head and head.rsplit("x", 1)[1].isdigit():
                head, number = head.rsplit("x", 1)
                count = int(number)
            verb, _, sub = head.partition("~")
            self.rules.append([verb, sub, count, reply])

    def find(self, verb, text):
        with LOCK:
            for r in self.rules:
                if r[0] in (verb, "any") and r[1].lower() in text.lower() and (r[2] is None or r[2] > 0):
                    if r[2] is not None:
                        r[2] -= 1
                    return r[3]
        return None


class Session:
    def __init__(self, conn, args, rules, log):
        self.conn, self.args, self.rules, self.log = conn, args, rules, log
        self.file = conn.makefile("rb")
        self.rcpts = 0
        self.tls = False

    def note(self, text):
        with LOCK:
            self.log.write(text + "\n")
            self.log.flush()

    def send(self, text):
        for line in text.split("\\n"):
            self.note("S " + line)
        self.conn.sendall(text.replace("\\n", "\r\n").encode("latin-1") + b"\r\n")

    def reply(self, verb, text, default):
        """False: the session is over."""
        what = self.rules.find(verb, text) or default
        if what.startswith("!sleep"):
            _, seconds, what = what.split(None, 2)
            time.sleep(float(seconds))
        if what.startswith("!raw "):
            self.conn.sendall(what[5:].encode().decode("unicode_escape").encode("latin-1"))
            return True
        if what.startswith("!flood"):
            while True:
                self.conn.sendall(b"250-more and more\r\n" * 1000)
        if what.startswith("!silent"):
            self.note("-- silent")
            time.sleep(3600)
        if what.startswith("!noread"):
            self.send(what[8:])
            self.conn.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
            time.sleep(3600)
        if what.startswith("!close"):
            if what[7:]:
                self.send(what[7:])
            return False
        self.send(what)
        self.last = what
        return True

    def data(self):
        while True:
            raw = self.file.readline()
            if not raw:
                self.note("-- client closes within content")
                return False
            if not raw.endswith(b"\r\n"):
                self.note("-- bare LF")
            if raw == b".\r\n":
                return True
            self.note("D " + raw.rstrip(b"\r\n").decode("latin-1"))

    def hello(self, verb, line):
        words = [w.strip() for w in self.args.ehlo.split(",") if w.strip() and not (self.tls and w.strip() == "STARTTLS")]
        lines = ["sink.test"] + (words if verb != "helo" else [])
        return self.reply(verb, line, "\\n".join("250%s%s" % ("-" if i + 1 < len(lines) else " ", w) for i, w in enumerate(lines)))

    def starttls(self, line):
        if not self.reply("starttls", line, "220 2.0.0 go ahead"):
            return False
        if self.last.startswith("220"):
            ctx = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            ctx.load_cert_chain(*self.args.tls)
            self.conn = ctx.wrap_socket(self.conn, server_side=True)
            self.file = self.conn.makefile("rb")
            self.tls = True
            self.note("-- TLS")
        return True

    def auth(self, line):
        """What the client answers to prompts is noted decoded."""
        words = line.split()
        prompts = {"LOGIN": ["VXNlcm5hbWU6", "UGFzc3dvcmQ6"], "CRAM-MD5": ["PDEuMkBzaW5rPg=="]}.get(words[1].upper() if len(words) > 1 else "", [])
        answers = words[2:3]
        for prompt in prompts:
            self.send("334 " + prompt)
            answers.append(self.file.readline().decode("latin-1").strip())
        self.note("-- auth " + " ".join(repr(base64.b64decode(a)) for a in answers))
        return self.reply("auth", line, "235 2.7.0 welcome")

    def command(self, line):
        verb = line.split(None, 1)[0].lower() if line.split() else ""
        if verb in ("ehlo", "lhlo", "helo"):
            return self.hello(verb, line)
        if verb == "auth":
            return self.auth(line)
        if verb == "starttls" and self.args.tls:
            return self.starttls(line)
        if verb == "data":
            if not self.reply("data", line, "354 go ahead" if self.rcpts else "554 5.5.1 no valid recipients"):
                return False
            if not self.last.startswith("354"):
                return True
            if not self.data():
                return False
            for _ in range(self.rcpts if self.args.lmtp else 1):
                if not self.reply("eod", "", "250 2.0.0 Ok delivered"):
                    return False
            self.rcpts = 0
            return True
        defaults = {"mail": "250 2.1.0 Ok", "rcpt": "250 2.1.5 Ok", "rset": "250 2.0.0 Ok", "quit": "221 2.0.0 bye", "xforward": "250 2.0.0 Ok"}
        if verb in ("mail", "rset"):
            self.rcpts = 0
        if not self.reply(verb, line, defaults.get(verb, "502 5.5.1 what?")):
            return False
        if verb == "rcpt" and self.last.startswith("2"):
            self.rcpts += 1
        return verb != "quit"

    def run(self):
        self.note("-- session")
        self.last = ""
        try:
            more = self.reply("connect", "", self.args.banner)
            while more:
                raw = self.file.readline()
                if not raw:
                    self.note("-- client closes")
                    break
                line = raw.rstrip(b"\r\n").decode("latin-1")
                self.note("C " + line)
                more = self.command(line)
        except OSError as e:
            self.note("-- %s" % e.__class__.__name__)
        try:
            self.conn.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.file.close()
        self.conn.close()


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--lmtp", action="store_true")
    p.add_argument("--listen", default="127.0.0.1:0")
    p.add_argument("--unix")
    p.add_argument("--log", default="/dev/null")
    p.add_argument("--ehlo", default="PIPELINING, SIZE 10240000, 8BITMIME, ENHANCEDSTATUSCODES, DSN")
    p.add_argument("--banner", default="220 sink.test ESMTP ready")
    p.add_argument("--tls", nargs=2)
    p.add_argument("rule", nargs="*")
    args = p.parse_args()
    if args.unix:
        s = socket.socket(socket.AF_UNIX)
        s.bind(args.unix)
        os.chmod(args.unix, 0o666)
    else:
        host, _, port = args.listen.rpartition(":")
        s = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        s.bind((host.strip("[]"), int(port)))
    s.listen(100)
    print("port %d" % (0 if args.unix else s.getsockname()[1]), flush=True)
    rules, log = Rules(args.rule), open(args.log, "a")
    while True:
        conn, _ = s.accept()
        if not args.unix:
            conn.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        threading.Thread(target=Session(conn, args, rules, log).run, daemon=True).start()


if __name__ == "__main__":
    main()
