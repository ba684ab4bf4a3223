"""backends.py: real table servers from Debian, started privately by a test, and a proxy that cuts, stalls and counts connections.  Standard library only."""
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

from instance import INST, MAIN_CF, Client, Instance, Tap, free_port, wait_for


KEPT = 0.2      # the router may repeat an answer that is less than 100 ms old


def find(name, *more):
    """A server's program, or skip the test."""
    p = shutil.which(name, path=os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/usr/lib/postgresql/15/bin", *more]))
    if not p:
        print("1..0 # SKIP %s is not installed" % name)
        sys.exit(0)
    return p


class Server:
    """A server process in a directory of its own (owned by user when we are root)."""

    def __init__(self, user=None):
        self.dir = tempfile.mkdtemp(prefix="backend.", dir=os.environ.get("TEST_TMP", "/var/tmp"))
        self.port = free_port()
        self.user = user if os.geteuid() == 0 else None
        if self.user:
            pw = pwd.getpwnam(self.user)
            os.chown(self.dir, pw.pw_uid, pw.pw_gid)
        os.chmod(self.dir, 0o755)
        self.proc = None

    def _demote(self):
        if self.user:
            pw = pwd.getpwnam(self.user)
            os.setgid(pw.pw_gid)
            os.setgroups([])
            os.setuid(pw.pw_uid)

    def run(self, *cmd, input=None):
        r = subprocess.run(cmd, input=input, capture_output=True, text=True, preexec_fn=self._demote, cwd=self.dir, timeout=60)
        if r.returncode:
            raise RuntimeError("%s: %s%s" % (cmd[0], r.stdout, r.stderr))
        return r.stdout

    def start(self, *cmd):
        self.cmd = cmd
        self.out = open(self.dir + "/server.log", "ab")
        self.proc = subprocess.Popen(cmd, stdin=subprocess.DEVNULL, stdout=self.out, stderr=self.out, preexec_fn=self._demote, cwd=self.dir,
                                     start_new_session=True)

    def restart(self):
        self.start(*self.cmd)

    def wait_port(self, port=None):
        def up():
            if self.proc.poll() is not None:
                raise RuntimeError(open(self.dir + "/server.log", errors="replace").read())
            try:
                socket.create_connection(("127.0.0.1", port or self.port), 1).close()
                return True
            except OSError:
                return False
        wait_for("server on port %d" % (port or self.port), up, 40)

    def kill(self, sig=signal.SIGKILL):
        if self.proc and self.proc.poll() is None:
            os.killpg(self.proc.pid, sig)
            self.proc.wait()

    def stop(self):
        self.kill()
        if not os.environ.get("KEEP"):
            shutil.rmtree(self.dir, ignore_errors=True)


class Proxy:
    """Between client and server.  mode: "pass"; "stall": answers are kept back; "cut": after cut_after bytes of answers from now on the connection is
    closed; "refuse": closed at once."""

    def __init__(self, to):
        self.to, self.mode, self.cut_after, self.connections = to, "pass", 0, 0
        self.open = set()
        self.lock = threading.Lock()
        self.s = socket.socket()
        self.s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.s.bind(("127.0.0.1", 0))
        self.s.listen(300)
        self.port = self.s.getsockname()[1]
        self.go = threading.Event()
        self.go.set()
        threading.Thread(target=self.accept, daemon=True).start()

    def set(self, mode, cut_after=0):
        self.mode, self.cut_after = mode, cut_after
        (self.go.clear if mode == "stall" else self.go.set)()

    def accept(self):
        while True:
            try:
                c, _ = self.s.accept()
            except OSError:
                return
            self.connections += 1
            if self.mode == "refuse":
                c.close()
                continue
            try:
                u = socket.create_connection(("127.0.0.1", self.to), 5)
            except OSError:
                c.close()
                continue
            u.settimeout(None)
            with self.lock:
                self.open.add(c)
            threading.Thread(target=self.copy, args=(c, u, False), daemon=True).start()
            threading.Thread(target=self.copy, args=(u, c, True), daemon=True).start()

    def copy(self, a, b, answers):
        try:
            while True:
                d = a.recv(65536)
                if not d:
                    break
                if answers:
                    self.go.wait()
                    if self.mode == "cut":
                        d = d[:self.cut_after]
                        if d:
                            b.sendall(d)
                        break
                b.sendall(d)
        except OSError:
            pass
        for s in (a, b):
            try:
                s.shutdown(2)
            except OSError:
                pass
        with self.lock:
            self.open.discard(a)
            self.open.discard(b)

    def drop_all(self):
        """Close what is open, as a server does that restarts."""
        with self.lock:
            for s in list(self.open):
                try:
                    s.shutdown(2)
                except OSError:
                    pass


class Postmap:
    """Queries through postmap, with a configuration of its own."""

    def __init__(self, main=""):
        self.dir = tempfile.mkdtemp(prefix="postmap.", dir=os.environ.get("TEST_TMP", "/var/tmp"))
        os.chmod(self.dir, 0o755)
        with open(self.dir + "/main.cf", "w") as f:
            f.write("compatibility_level = 3.6\n" + main)

    def write(self, name, text):
        with open(self.dir + "/" + name, "w") as f:
            f.write(text)
        return self.dir + "/" + name

    def q(self, table, key, tool=None):
        r = subprocess.run([tool or INST + "/sbin/postmap", "-c", self.dir, "-q", key, table], stdin=subprocess.DEVNULL, capture_output=True, text=True,
                           timeout=60)
        if r.returncode == 0:
            return r.stdout.rstrip("\n")
        if r.returncode == 1 and "fatal" not in r.stderr:
            return None                 # warnings may have been given
        return "ERROR " + r.stderr.strip()

    def as_postfix(self, t, tables, keys):
        """Both answer alike, where Debian's Postfix and its module are installed: found, not found, or an error."""
        theirs = shutil.which("postmap", path="/usr/sbin")
        if not theirs or os.path.realpath(theirs) == os.path.realpath(INST + "/sbin/postmap"):
            return
        for table in tables:
            probe = self.q(table, "probe", theirs)
            if probe and "unsupported dictionary type" in probe:
                continue
            for key in keys:
                mine, other = self.q(table, key), self.q(table, key, theirs)
                same = mine == other or (str(mine).startswith("ERROR") and str(other).startswith("ERROR"))
                t.ok(same, "as Postfix: %s %.30r" % (table.rsplit("/", 1)[-1], key), "posthouse: %r\nPostfix:   %r" % (mine, other))

    def many(self, table, keys):
        r = subprocess.run([INST + "/sbin/postmap", "-c", self.dir, "-q", "-", table], input="".join(k + "\n" for k in keys), capture_output=True, text=True,
                           timeout=60)
        return r.stdout, r.stderr

    def done(self):
        shutil.rmtree(self.dir, ignore_errors=True)


def sessions(port, n, rcpt, sender="s@test.example"):
    """n sessions at the same time, all connected before the first asks; the replies to RCPT."""
    clients = [Client(port, timeout=60) for _ in range(n)]
    replies = [None] * n

    def one(i):
        c = clients[i]
        c.cmd("EHLO x.test")
        c.cmd("MAIL FROM:<%s>" % sender)
        replies[i] = c.cmd("RCPT TO:<%s>" % rcpt(i))
        c.s.close()
    threads = [threading.Thread(target=one, args=(i,)) for i in range(n)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    return replies


def relay_checks(t, table, proxy, server, slow=None, known="known@relay.test", unknown="nobody@relay.test", n=200, wake=11):
    """What every table server must show in a running router: recipients that are known, unknown; the server cut, stalled, down and back; many sessions.

    table: "type:/path" whose connections go through proxy; server.kill() and server.restart() work."""
    main = "relay_domains = relay.test\nrelay_recipient_maps = %s\nrelay_transport = discard\nsmtpd_soft_error_limit = 10000\n" % table
    kind = table.split(":")[0]
    with Instance(main) as i:
        def back(why):
            # Each worker has connections of its own.
            wait_for(why, lambda: all(rcpt(known).startswith("250") for _ in range(8)), 60, 0.3)

        def rcpt(address, timeout=60):
            c = Client(i.port, timeout=timeout)
            c.cmd("EHLO x.test")
            c.cmd("MAIL FROM:<s@test.example>")
            r = c.cmd("RCPT TO:<%s>" % address)
            c.s.close()
            return r
        t.ok(rcpt(known).startswith("250"), "%s: a known recipient" % kind, i.log()[-2000:])
        r = rcpt(unknown)
        t.ok(r.startswith("550 5.1.1") and "unknown" in r.lower(), "%s: an unknown recipient" % kind, r)
        before = proxy.connections
        t.ok(all(rcpt(known).startswith("250") for _ in range(5)) and proxy.connections <= before + 1, "%s: connections are kept" % kind,
             proxy.connections - before)

        start = time.monotonic()
        replies = sessions(i.port, n, lambda k: known if k % 2 else unknown)
        good = sum(r.startswith("250") for r in replies)
        bad = sum(r.startswith("550 5.1.1") for r in replies)
        t.ok((good, bad) == (n // 2, n - n // 2), "%s: %d sessions at the same time" % (kind, n), (good, bad, [r for r in replies if r[:3] not in ("250", "550")][:3]))
        print("# %d sessions: %.1f s, %d connections" % (n, time.monotonic() - start, proxy.connections))

        # The server has closed idle connections: nobody notices.
        proxy.drop_all()
        t.ok(rcpt(known).startswith("250"), "%s: an idle connection that was closed is replaced" % kind, i.log()[-1500:])

        # Cut in the middle of an answer, a new connection too.
        time.sleep(KEPT)
        proxy.set("cut", 3)
        r = rcpt(unknown)
        t.ok(r.startswith("451 4.3"), "N-239 %s: cut in the middle of an answer: 451" % kind, r)
        t.ok(i.wait_log("warning: " + table), "%s: the log names the table" % kind, i.log()[-1500:])
        proxy.set("pass")
        back("the table to be asked again")
        t.ok(True, "%s: it is asked again after a while" % kind)

        # Stalled: other sessions go on, and the one that waits gets its answer when it comes.
        time.sleep(KEPT)
        proxy.set("stall")
        box = []
        th = threading.Thread(target=lambda: box.append(rcpt(known)))
        th.start()
        c = Client(i.port)
        t.ok(c.cmd("EHLO y.test").startswith("250"), "%s: a slow server delays nobody else" % kind)
        c.quit()
        proxy.set("pass")
        th.join()
        t.ok(box and box[0].startswith("250"), "%s: a late answer is an answer" % kind, box)

        # Down.
        time.sleep(KEPT)
        server.kill()
        proxy.drop_all()
        replies = [rcpt(known), rcpt(unknown)]
        t.ok(all(r.startswith("451 4.3") for r in replies), "N-239 %s: server down: 451, known or not" % kind, replies)
        server.restart()
        server.wait_port()
        back("the table to be back")
        t.ok(rcpt(unknown).startswith("550 5.1.1"), "%s: server back: answers as before" % kind)
