#!/usr/bin/env python3
"""runner.py [-v] SCRIPT...: plays scripted SMTP dialogues against a router of their own, and prints TAP.

One stand-alone program; it needs Python 3.9 and the program t/smtp/server (found below $PH_BUILD, or named by $SMTP_SERVER).
A script is a list of tests; each test reads as a story:

    test N-020 a second message needs MAIL again
    main smtpd_end_of_data_restrictions = reject      a main.cf line of this test's router
    service strict -o smtpd_helo_required=yes         a further smtpd line of master.cf
    file rules                                        a file in the configuration folder (@ETC@); its lines are indented
      bad@x.test REJECT
    policy pol action=DUNNO\n\n                       a policy server, @pol@ in main: what it answers to each request (C escapes), or
                                                      close, hang; "ANSWER | ANSWER" one after the other, the last one for ever
    client                                            connect (options: to SERVICE, from 127.0.0.2, name C2, silent, tls)
    < 220                                             a reply: its code, or a regular expression for its whole text
    > EHLO a.test                                     send a line
    >> raw\\r\\ntext                                    send bytes (C escapes, \\xHH); "12 * text" repeats
    replies 100 250                                   so many replies with this code
    closed                                            the server has hung up
    alive                                             it has not: NOOP is answered
    use C2 / hangup / reset / starttls                switch, close, close with RST, handshake
    deferred [helo=H] [from=A] [to=R] TEXT            a session of its own whose RCPT is to be tried again, with this log line, and nothing is taken in
    data @FILE@                                       DATA with a message, up to the dot, without reading the last reply
    queue 1                                           so many messages were taken in (in this test)
    asked pol has TEXT / lacks TEXT / times N         about the requests that a policy server got
    message has TEXT / lacks TEXT / is TEXT           about the content of the last one; "sender X", "rcpt X", "attr K=V"
    log TEXT / log lacks TEXT                         about this test's log lines (regular expression)
    memory < 60                                       megabytes of the server's resident memory
    clock +61                                         move the router's clocks by seconds
    until TEXT                                        move them until the log has TEXT

A line that begins with '#' is a comment.  There are no sleeps: every step waits for its event, at most 10 seconds."""
import json
import os
import re
import shutil
import socket
import ssl
import struct
import subprocess
import sys
import tempfile
import threading
import time

LIMIT = 10.0
HERE = os.path.dirname(os.path.abspath(__file__))
BASE_MAIN = {
    "compatibility_level": "3.6", "myhostname": "mx.here.test", "mydomain": "here.test", "myorigin": "here.test",
    "mydestination": "here.test", "mynetworks": "127.0.0.9/32", "local_recipient_maps": "inline:{alice=x, bob=x, carol=x}",
    "smtpd_peername_lookup": "no", "smtpd_error_sleep_time": "0", "inet_interfaces": "127.0.0.1", "smtpd_client_connection_count_limit": "0",
    "smtpd_relay_restrictions": "permit_mynetworks, permit_sasl_authenticated, reject_unauth_destination",
}


class Failed(Exception):
    pass


def unescape(text):
    """C escapes to bytes; "N * text" repeats."""
    m = re.match(r"(\d+) \* (.*)", text, re.S)
    if m:
        return int(m.group(1)) * unescape(m.group(2))
    out, i, raw = bytearray(), 0, text.encode("utf-8", "surrogateescape")
    simple = {ord("r"): 13, ord("n"): 10, ord("t"): 9, ord("0"): 0, ord("\\"): 92, ord("s"): 32}
    while i < len(raw):
        if raw[i] == 92 and i + 1 < len(raw):
            if raw[i + 1] == ord("x"):
                out.append(int(raw[i + 2:i + 4], 16))
                i += 4
                continue
            if raw[i + 1] in simple:
                out.append(simple[raw[i + 1]])
                i += 2
                continue
        out.append(raw[i])
        i += 1
    return bytes(out)


class Policy:
    """A server that answers requests (lines up to an empty one) as it is told, well or badly."""

    def __init__(self, answers):
        self.answers, self.requests = [a.strip() for a in answers.split(" | ")], []
        self.s = socket.socket()
        self.s.bind(("127.0.0.1", 0))
        self.s.listen(50)
        self.port = self.s.getsockname()[1]
        self.held = []
        threading.Thread(target=self.run, daemon=True).start()

    def run(self):
        while True:
            try:
                c, _ = self.s.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(c,), daemon=True).start()

    def serve(self, c):
        buf = b""
        try:
            while True:
                while b"\n\n" not in buf:
                    d = c.recv(65536)
                    if not d:
                        return
                    buf += d
                one, buf = buf.split(b"\n\n", 1)
                self.requests.append(one.decode("utf-8", "replace"))
                a = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
                if a == "hang":
                    self.held.append(c)
                    return
                if a == "close":
                    c.close()
                    return
                c.sendall(unescape(a))
                if not a.endswith("\\n\\n"):          # an answer that never ends
                    c.shutdown(socket.SHUT_WR)
        except OSError:
            pass

    def close(self):
        self.s.close()
        for c in self.held:
            c.close()


class Router:
    """One server process with its own folder, ports and clock."""

    def __init__(self, test, build):
        self.dir = tempfile.mkdtemp(prefix="smtp.")
        self.etc, self.queue, self.log = self.dir + "/etc", self.dir + "/queue", self.dir + "/log"
        os.mkdir(self.etc)
        os.mkdir(self.queue)
        open(self.log, "w").close()
        self.clock = self.dir + "/clock"
        with open(self.clock, "wb") as f:
            f.write(struct.pack("=q", 0))
        main = dict(BASE_MAIN, queue_directory=self.queue, maillog_file=self.log, maillog_file_prefixes=self.dir,
                    module_directory=os.environ.get("PH_MODULE_PATH", build + "/.libs"))
        for k, v in test.main:
            main[k] = v
        self.files = test.files
        self.policies = {name: Policy(answers) for name, answers in test.policies}
        if any("@TLS@" in v for v in main.values()) or any("@TLS@" in s for s in test.services):
            self.certificate()
        for name, text in test.files.items():
            self.put(name, text)
        self.put("main.cf", "".join("%s = %s\n" % kv for kv in main.items()))
        master = "smtp inet n - n - - smtpd\n" + "".join("%s inet n - n - - smtpd %s\n" % tuple(s.split(" ", 1)) for s in test.services)
        self.put("master.cf", master)
        self.ports = {}
        self.start(build)

    def sub(self, text):
        for name, p in self.policies.items():
            text = text.replace("@%s@" % name, "inet:127.0.0.1:%d" % p.port)
        return text.replace("@ETC@", self.etc).replace("@TLS@", self.dir + "/tls.pem").replace("@QUEUE@", self.queue)

    def put(self, name, text):
        with open(self.etc + "/" + name, "w", encoding="utf-8", errors="surrogateescape") as f:
            f.write(self.sub(text))

    def certificate(self):
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
                        "-subj", "/CN=mx.here.test", "-keyout", self.dir + "/tls.pem", "-out", self.dir + "/cert.pem"],
                       check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        with open(self.dir + "/cert.pem") as c, open(self.dir + "/tls.pem", "a") as k:
            k.write(c.read())

    def start(self, build):
        env = dict(os.environ, PH_CLOCK_FILE=self.clock, PH_HOSTS="/dev/null")
        env.setdefault("PH_MODULE_PATH", build + "/.libs")
        # The store's helper threads live as long as the process.
        with open(self.dir + "/lsan", "w") as f:
            f.write("leak:ph_offload_pool_new\n")
        env.setdefault("LSAN_OPTIONS", "print_suppressions=0:suppressions=" + self.dir + "/lsan")
        self.program = os.environ.get("SMTP_SERVER", build + "/t/smtp/server")
        self.p = subprocess.Popen([self.program, self.etc], stdout=subprocess.PIPE, stderr=open(self.dir + "/stderr", "w"), env=env)
        for line in self.p.stdout:
            w = line.decode().split()
            if w[0] == "ready":
                break
            self.ports[w[0]] = int(w[1])
        else:
            raise Failed("the server did not start: " + open(self.dir + "/stderr").read())

    def messages(self):
        r = subprocess.run([self.program, "-dump", self.queue], capture_output=True)
        return [json.loads(l) for l in r.stdout.decode("utf-8", "replace").splitlines()]

    def log_lines(self, since=0):
        with open(self.log, errors="surrogateescape") as f:
            f.seek(since)
            return f.read()

    def log_size(self):
        return os.path.getsize(self.log)

    def move_clock(self, seconds):
        with open(self.clock, "r+b") as f:
            now = struct.unpack("=q", f.read(8))[0]
            f.seek(0)
            f.write(struct.pack("=q", now + int(seconds * 1000)))

    def resident_mb(self):
        with open("/proc/%d/status" % self.p.pid) as f:
            return int(re.search(r"VmRSS:\s+(\d+)", f.read()).group(1)) / 1024

    def stop(self):
        """Ask it to end; what it says about leaks or crashes is a failure."""
        for p in self.policies.values():
            p.close()
        crashed = self.p.poll()
        if crashed is None:
            self.p.terminate()
            try:
                crashed = self.p.wait(LIMIT)
            except subprocess.TimeoutExpired:
                self.p.kill()
                self.p.wait()
                crashed = "does not end"
        err = open(self.dir + "/stderr", errors="replace").read()
        shutil.rmtree(self.dir, ignore_errors=True)
        return "" if crashed == 0 else "server: exit status %s\n%s\n%s" % (crashed, err[-6000:], "")


class Client:
    def __init__(self, runner, port, source, tls):
        self.r, self.buf, self.eof, self.feeder = runner, b"", False, None
        self.s = socket.socket()
        self.s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.s.settimeout(LIMIT)
        self.s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.s.bind((source, 0))
        self.s.connect(("127.0.0.1", port))
        if tls:
            self.start_tls()

    def start_tls(self):
        ctx = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        ctx.check_hostname, ctx.verify_mode = False, ssl.CERT_NONE
        try:
            self.s = ctx.wrap_socket(self.s, server_hostname="mx.here.test")
        except (ssl.SSLError, OSError) as e:
            raise Failed("TLS handshake: %s" % e)

    def send(self, data):
        self.r.note("C: " + (repr(data)[2:-1] if len(data) < 300 else repr(data[:200])[2:-1] + "... (%d bytes)" % len(data)))
        # A server that stops reading must not stop us from reading what it says.
        def feed():
            try:
                self.s.sendall(data)
            except OSError:
                pass
        if self.feeder:
            self.feeder.join(0.3)
            if self.feeder.is_alive():      # the server waits until its replies are read: send in order behind what goes
                before = self.feeder
                self.feeder = threading.Thread(target=lambda: (before.join(), feed()), daemon=True)
                self.feeder.start()
                return
            self.feeder = None
        if len(data) < 60000:
            feed()
            return
        self.feeder = threading.Thread(target=feed, daemon=True)
        self.feeder.start()

    def line(self):
        while b"\n" not in self.buf:
            try:
                d = self.s.recv(65536)
            except socket.timeout:
                raise Failed("no reply within %d s (so far: %r)" % (LIMIT, self.buf))
            except OSError:
                d = b""
            if not d:
                self.eof = True
                raise Failed("the server hung up (left over: %r)" % self.buf)
            self.buf += d
        l, self.buf = self.buf.split(b"\n", 1)
        return l.rstrip(b"\r").decode("utf-8", "surrogateescape")

    def reply(self):
        lines = []
        while True:
            l = self.line()
            self.r.note("S: " + l)
            lines.append(l)
            if not re.match(r"\d\d\d[- ]|\d\d\d$", l):
                raise Failed("not a reply line: %r" % l)
            if l[:3] != lines[0][:3]:
                raise Failed("codes differ within a reply: %r" % lines)
            if l[3:4] != "-":
                return "\n".join(lines)

    def closed(self):
        while True:
            try:
                d = self.s.recv(65536)
            except socket.timeout:
                raise Failed("the server has not hung up")
            except OSError:
                return
            if not d:
                return
            self.buf += d
            if self.buf:
                raise Failed("not closed, but a reply: %r" % self.buf[:200])

    def close(self, rst=False):
        if rst:
            self.s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        try:
            self.s.close()
        except OSError:
            pass


class Test:
    def __init__(self, title):
        self.title, self.main, self.services, self.files, self.policies, self.steps = title, [], [], {}, [], []

    def key(self):
        return repr((self.main, self.services, sorted(self.files.items()), self.policies))


def parse(path):
    tests, common, block = [], Test("common"), None
    with open(path, encoding="utf-8", errors="surrogateescape") as f:
        for n, l in enumerate(f, 1):
            l = l.rstrip("\n")
            t = tests[-1] if tests else common
            if block is not None and (l.startswith("  ") or not l):
                t.files[block] += l[2:] + "\n"
                continue
            block = None
            if not l.strip() or l.startswith("#"):
                continue
            word, _, rest = l.partition(" ")
            if word == "test":
                t = Test(rest)
                t.main, t.services, t.files = list(common.main), list(common.services), dict(common.files)
                t.policies = list(common.policies)
                tests.append(t)
            elif word == "main":
                k, _, v = rest.partition("=")
                t.main.append((k.strip(), v.strip()))
            elif word == "service":
                t.services.append(rest if " " in rest else rest + " ")
            elif word == "policy":
                t.policies.append(tuple(rest.split(" ", 1)))
            elif word == "file":
                block = rest.strip()
                t.files[block] = ""
            else:
                t.steps.append((n, word, rest))
    return tests


class Runner:
    def __init__(self, build, verbose):
        self.build, self.verbose = build, verbose
        self.count = self.failed = 0
        self.transcript = []

    def note(self, text):
        self.transcript.append(text)
        if self.verbose:
            print("# " + text)

    # ---- steps ----
    def step(self, word, rest):
        fn = getattr(self, "do_" + {"<": "reply", ">": "send", ">>": "raw"}.get(word, word), None)
        if not fn:
            raise Failed("no such step: " + word)
        fn(self.router.sub(rest))

    @property
    def c(self):
        if self.now not in self.clients:
            raise Failed("no client")
        return self.clients[self.now]

    def do_client(self, rest):
        w, service, source, name, tls = rest.split(), "smtp", "127.0.0.2", "main", False
        i = 0
        while i < len(w):
            if w[i] == "tls":
                tls = True
                i += 1
                continue
            if i + 1 >= len(w) or w[i] not in ("to", "from", "name"):
                raise Failed("client: what is %r?" % w[i])
            if w[i] == "to":
                service = w[i + 1]
            elif w[i] == "from":
                source = w[i + 1]
            else:
                name = w[i + 1]
            i += 2
        if name in self.clients:
            self.clients.pop(name).close()
        self.note("-- client %s (%s to %s)" % (name, source, service))
        self.now = name
        self.clients[name] = Client(self, self.router.ports[service], source, tls)

    def do_use(self, rest):
        self.now = rest.strip()

    def do_send(self, rest):
        self.c.send(unescape(rest) + b"\r\n")

    def do_raw(self, rest):
        self.c.send(unescape(rest))

    def do_reply(self, rest):
        got = self.c.reply()
        want = rest.strip()
        if re.fullmatch(r"\d{3}", want):
            ok = got.startswith(want)
        else:
            ok = re.search(want, got, re.M) is not None
        if not ok:
            raise Failed("wanted the reply %r" % want)

    def do_denied(self, rest):
        """denied PATH: RCPT TO:PATH is refused (and so is each of several transactions of one)."""
        self.do_send("RCPT TO:" + rest)
        got = self.c.reply()
        if got[0] not in "45":
            raise Failed("accepted: RCPT TO:" + rest)

    def do_taken(self, rest):
        """taken PATH: RCPT TO:PATH is accepted."""
        self.do_send("RCPT TO:" + rest)
        self.do_reply("250 2.1.5")

    def do_replies(self, rest):
        """replies N CODE: so many of the same."""
        n, code = rest.split()
        for _ in range(int(n)):
            l = self.c.line()
            if not l.startswith(code + " "):
                raise Failed("wanted the reply %s, got %r" % (code, l))
        self.note("S: (%s replies) %s" % (n, code))

    def do_asked(self, rest):
        """asked NAME has TEXT / lacks TEXT / times N: the requests of this router's policy server."""
        name, what, text = rest.split(" ", 2)
        got = self.router.policies[name].requests
        if what == "times":
            if len(got) != int(text):
                raise Failed("%d requests, wanted %s" % (len(got), text))
        elif (re.search(text, "\n\n".join(got), re.M) is not None) != (what == "has"):
            raise Failed("requests: %r" % got)

    def do_closed(self, rest):
        self.c.closed()
        self.note("-- closed by the server")

    def do_alive(self, rest):
        self.c.send(b"NOOP\r\n")
        self.do_reply("250")

    def do_hangup(self, rest):
        self.c.close()

    def do_reset(self, rest):
        self.c.close(rst=True)

    def do_starttls(self, rest):
        self.do_send("STARTTLS")
        self.do_reply("220")
        self.c.start_tls()
        self.note("-- TLS is up")

    def do_tlsup(self, rest):
        """The handshake alone."""
        self.c.start_tls()
        self.note("-- TLS is up")

    def do_hello(self, rest):
        """hello [NAME]: greeting, EHLO and its reply."""
        self.do_reply("220")
        self.do_send("EHLO " + (rest.strip() or "client.test"))
        self.do_reply("250")

    def do_mail(self, rest):
        """mail [RECIPIENT...]: MAIL and RCPTs, all accepted."""
        self.do_send("MAIL FROM:<sender@client.test>")
        self.do_reply("250")
        for r in rest.split() or ["alice@here.test"]:
            self.do_send("RCPT TO:<%s>" % r)
            self.do_reply("250")

    def do_deferred(self, rest):
        """deferred [helo=H] [from=A] [to=R] TEXT: what asks for the recipient gets a temporary failure, and the log says why."""
        given = {"helo": "a.test", "from": "a@x.test", "to": "alice@here.test"}
        while re.match("(helo|from|to)=", rest):
            word, _, rest = rest.partition(" ")
            given.update([word.split("=", 1)])
        self.do_client("")
        self.do_hello(given["helo"])
        self.do_send("MAIL FROM:<%s>" % given["from"])
        self.do_reply("250")
        self.do_send("RCPT TO:<%s>" % given["to"])
        self.do_reply("^45[01] 4")
        self.do_log(rest)
        self.do_log("lacks unsupported dictionary type: (?!nosuchtype)")        # a module that was not built would defer, too
        self.do_queue("0")

    def do_data(self, rest):
        """data [TEXT]: DATA and a message with this body, accepted."""
        self.do_send("DATA")
        self.do_reply("354")
        self.c.send(b"Subject: test\r\n\r\n" + unescape(rest or "body") + b"\r\n.\r\n")
        self.do_reply("250 2.0.0 Ok: queued as")

    def mine(self):
        return [m for m in self.router.messages() if m["id"] not in self.seen]

    def do_queue(self, rest):
        m = self.mine()
        self.note("-- queue: %d messages" % len(m))
        if len(m) != int(rest):
            raise Failed("%d messages were taken in, not %s" % (len(m), rest))

    def do_message(self, rest):
        m = self.mine()
        if not m:
            raise Failed("there is no message")
        m = max(m, key=lambda x: (x["id"][5:12], x["id"][:5]))   # an id begins with the microseconds, the seconds follow
        word, _, text = rest.partition(" ")
        text = unescape(text).decode("latin-1")
        have = m.get("content", "")
        if word == "sender":
            have, ok = m.get("sender"), m.get("sender") == text
        elif word == "rcpt":
            have, ok = m["rcpts"], text in m["rcpts"]
        elif word == "attr":
            k, _, v = text.partition("=")
            have, ok = m["attrs"].get(k), str(m["attrs"].get(k)) == v
        elif word == "has":
            ok = text in have
        elif word == "lacks":
            ok = text not in have
        elif word == "is":
            ok = have.split("\n\n", 1)[-1] == text
        else:
            raise Failed("message: what is %r?" % word)
        if not ok:
            raise Failed("message: %r" % (have,))

    def do_log(self, rest):
        lacks = rest.startswith("lacks ")
        rx = re.compile(rest[6:] if lacks else rest)
        end = time.monotonic() + (0 if lacks else LIMIT)
        while True:
            text = self.router.log_lines(self.log_from)
            if bool(rx.search(text)) != lacks:
                return
            if time.monotonic() >= end:
                raise Failed("log %s %r:\n%s" % ("has" if lacks else "lacks", rest, text))
            time.sleep(0.01)

    def do_until(self, rest):
        """until TEXT: time passes, five seconds at a go, until the log has TEXT."""
        end = time.monotonic() + LIMIT
        while not re.search(rest, self.router.log_lines(self.log_from)):
            if time.monotonic() > end:
                raise Failed("log lacks %r:\n%s" % (rest, self.router.log_lines(self.log_from)))
            self.router.move_clock(5)
            time.sleep(0.1)

    def do_memory(self, rest):
        have = self.router.resident_mb()
        self.note("-- memory: %.1f MB" % have)
        if have >= float(rest.lstrip("< ")):
            raise Failed("%.1f MB of memory" % have)

    def do_clock(self, rest):
        self.router.move_clock(float(rest))

    # ---- tests ----
    def one(self, test):
        self.transcript, self.clients, self.now = [], {}, "main"
        self.seen = {m["id"] for m in self.router.messages()} if self.router.used else set()
        self.router.used = True
        self.log_from = self.router.log_size()
        try:
            for n, word, rest in test.steps:
                self.where = n
                self.step(word, rest)
            if self.router.p.poll() is not None:
                raise Failed("the server died")
            # The next honest client is served.
            if test.steps and not any(w == "noserve" for _, w, _ in test.steps):
                c = Client(self, self.router.ports["smtp"], "127.0.0.9", False)
                if not c.line().startswith("220") and "postscreen" not in test.title:
                    raise Failed("the next client is not served")
                c.send(b"QUIT\r\n")
                c.line()
                c.close()
            return None
        except Failed as e:
            return "line %s: %s" % (self.where, e)
        except (OSError, UnicodeError, ValueError) as e:
            return "line %s: %r" % (self.where, e)
        finally:
            for c in self.clients.values():
                c.close()

    def do_noserve(self, rest):
        pass

    def result(self, why, title):
        self.count += 1
        print("%sok %d - %s" % ("not " if why else "", self.count, title))
        if not why:
            return
        self.failed += 1
        if not self.verbose:
            for l in self.transcript:
                print("# " + l.encode("ascii", "backslashreplace").decode()[:400])
        for l in why.split("\n")[:200]:
            print("# FAILED " + l.encode("ascii", "backslashreplace").decode()[:600])
        if self.router:
            for l in self.router.log_lines(self.log_from).splitlines()[-40:]:
                print("# log " + l.encode("ascii", "backslashreplace").decode())

    def run(self, path, only):
        self.router, key = None, None
        for test in parse(path):
            if only and only not in test.title:
                continue
            if test.key() != key:
                self.stop(path)
                try:
                    self.router = Router(test, self.build)
                    self.router.used = False
                    key = test.key()
                except (Failed, OSError, subprocess.CalledProcessError) as e:
                    self.router, self.transcript, self.log_from = None, [], 0
                    self.result(str(e), test.title)
                    continue
            self.result(self.one(test), test.title)
            if self.router.p.poll() is not None:
                key = None
            sys.stdout.flush()
        self.stop(path)

    def stop(self, path):
        if not self.router:
            return
        why = self.router.stop()
        self.router, self.transcript = None, []
        if why:
            self.result(why, "%s: the server ends in peace" % os.path.basename(path))


def main():
    args = [a for a in sys.argv[1:] if a != "-v"]
    only = ""
    if "-t" in args:
        i = args.index("-t")
        only = args[i + 1]
        del args[i:i + 2]
    build = os.environ.get("PH_BUILD", os.path.join(os.path.dirname(os.path.dirname(HERE)), "build"))
    r = Runner(build, "-v" in sys.argv)
    for path in args:
        r.run(path, only)
    print("1..%d" % r.count)
    return 1 if r.failed else 0


if __name__ == "__main__":
    sys.exit(main())
