"""instance.py: a private router for a test: own directory, own ports, started and stopped by the test.  Standard library only."""
import os
import pwd
import grp
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

TOP = os.environ.get("TOP") or os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
INST = os.environ.get("INST", TOP + "/build/inst")

MASTER_CF = """
127.0.0.1:@PORT@ inet n - n - - smtpd
pickup unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
smtp unix - - n - - smtp
relay unix - - n - - smtp
lmtp unix - - n - - lmtp
virtual unix - n n - - virtual
error unix - - n - - error
retry unix - - n - - error
discard unix - - n - - discard
"""

MAIN_CF = """
compatibility_level = 3.6
queue_directory = @DIR@/spool
data_directory = @DIR@/data
maillog_file = @DIR@/mail.log
maillog_file_prefixes = @DIR@
mail_owner = @OWNER@
setgid_group = @GROUP@
myhostname = mx.test.example
mydomain = test.example
mydestination =
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
mynetworks = 127.0.0.0/8
alias_maps =
local_recipient_maps =
smtpd_peername_lookup = no
smtpd_relay_restrictions = permit_mynetworks, reject_unauth_destination
smtpd_client_connection_count_limit = 0
smtpd_error_sleep_time = 0
"""


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def wait_for(what, fn, seconds=20, pause=0.02):
    """Poll fn until it returns something true; the event that a test waits for, not a sleep."""
    end = time.monotonic() + seconds
    while True:
        r = fn()
        if r:
            return r
        if time.monotonic() > end:
            raise TimeoutError("waited %s s for: %s" % (seconds, what))
        time.sleep(pause)


def own_network(script, options="timeout:2 attempts:1"):
    """Run the script again in a network of its own (needs root), whose resolver is 127.0.0.1 port 53: see dnsd()."""
    if "OWN_NETWORK" not in os.environ:
        d = tempfile.mkdtemp(prefix="resolv.")
        with open(d + "/resolv.conf", "w") as f:
            f.write("nameserver 127.0.0.1\noptions %s\n" % options)
        os.execvpe("unshare", ["unshare", "-n", "-m", "sh", "-c", 'ip link set lo up && mount --bind "$1/resolv.conf" /etc/resolv.conf && rm -rf "$1"; shift; exec "$@"', "sh", d,
                               sys.executable, os.path.abspath(script)], dict(os.environ, OWN_NETWORK="1", PATH=os.environ["PATH"] + ":/usr/sbin:/sbin"))


def dnsd(directory, zone):
    """The DNS of such a network, with this zone (see dnsd.py)."""
    with open(directory + "/zone", "w") as f:
        f.write(zone)
    p = subprocess.Popen([sys.executable, TOP + "/t/lib/dnsd.py", "--listen", "127.0.0.1:53", directory + "/zone"], stdout=subprocess.PIPE, text=True)
    p.stdout.readline()
    return p


class Instance:
    def __init__(self, main="", master="", files=None, env=None):
        self.dir = tempfile.mkdtemp(prefix="posthouse.", dir=os.environ.get("TEST_TMP", "/var/tmp"))
        os.chmod(self.dir, 0o755)
        self.port = free_port()
        root = os.geteuid() == 0
        self.owner = "daemon" if root else pwd.getpwuid(os.geteuid()).pw_name
        self.group = "mail" if root else grp.getgrgid(os.getegid()).gr_name
        self.etc = self.dir + "/etc"
        for d in ("etc", "data", "mail"):
            os.mkdir(self.dir + "/" + d)
        if root:
            shutil.chown(self.dir + "/data", self.owner)
        self.env = dict(os.environ, PATH=INST + "/sbin:" + os.environ["PATH"], LC_ALL="C", TZ="UTC")
        self.env.pop("MAIL_CONFIG", None)
        self.env.pop("PH_MODULE_PATH", None)
        self.env.update(env or {})
        for name, text in (files or {}).items():
            self.write(name, text)
        self.write("main.cf", MAIN_CF + main)
        self.write("master.cf", MASTER_CF + master)
        self.pid = 0

    def sub(self, text):
        for k, v in (("DIR", self.dir), ("ETC", self.etc), ("PORT", str(self.port)), ("OWNER", self.owner), ("GROUP", self.group)):
            text = text.replace("@%s@" % k, v)
        return text

    def write(self, name, text):
        with open(os.path.join(self.etc, name), "w") as f:
            f.write(self.sub(text))

    def command(self, name, *args, input=None, check=False, timeout=60):
        return subprocess.run([INST + "/sbin/" + name, *([] if name == "sendmail" else ["-c", self.etc]), *args], env=dict(self.env, MAIL_CONFIG=self.etc),
                              input=input, capture_output=True, text=True, timeout=timeout, check=check)

    def start(self):
        p = self.command("postfix", "start")
        if p.returncode:
            raise RuntimeError("start: %s%s\n%s" % (p.stdout, p.stderr, self.log()[-3000:]))
        self.pid = self.master_pid()
        return self

    def master_pid(self):
        try:
            return int(open(self.dir + "/spool/pid/master.pid").read())
        except (OSError, ValueError):
            return 0

    def processes(self):
        """{pid: name} of the guard, the master and its workers."""
        kids = {}
        for p in os.listdir("/proc"):
            if p.isdigit():
                try:
                    name, rest = open("/proc/%s/stat" % p).read().split("(", 1)[1].rsplit(")", 1)
                    kids.setdefault(int(rest.split()[1]), []).append((int(p), name))
                except (OSError, ValueError, IndexError):
                    pass
        m = self.master_pid()
        out = {m: "master"} if m and os.path.exists("/proc/%d" % m) else {}
        todo = list(out)
        while todo:
            for pid, name in kids.get(todo.pop(), []):
                out[pid] = name
                todo.append(pid)
        return out

    def log(self):
        try:
            return open(self.dir + "/mail.log", errors="replace").read()
        except OSError:
            return ""

    def wait_log(self, text, seconds=20):
        return wait_for("log line with %r" % text, lambda: [l for l in self.log().split("\n") if text in l], seconds)

    def logged(self, *texts, seconds=20):
        """Whether each text comes to stand in the log. A line is written after what it tells of, and after the client's reply."""
        end = time.monotonic() + seconds
        while not all(x in self.log() for x in texts):
            if time.monotonic() > end:
                return False
            time.sleep(0.01)
        return True

    def queue_is_empty(self):
        return "Mail queue is empty" in self.command("postqueue", "-p").stdout

    def stop(self, keep=False):
        if self.master_pid():
            self.command("postfix", "stop")
        pids = self.processes()
        for p in pids:
            try:
                os.kill(p, signal.SIGKILL)
            except OSError:
                pass
        if not keep and not os.environ.get("KEEP"):
            shutil.rmtree(self.dir, ignore_errors=True)
        return not pids

    def __enter__(self):
        return self.start()

    def __exit__(self, *exc):
        if exc[0]:
            print("".join("# log: %s\n" % l for l in self.log().split("\n")[-60:]), end="")
        self.stop()


class Client:
    """A small blocking SMTP client that keeps a transcript."""

    def __init__(self, port, host="127.0.0.1", timeout=20):
        self.s = socket.create_connection((host, port), timeout)
        self.f = self.s.makefile("rb")
        self.transcript = []
        self.banner = self.reply()

    def reply(self):
        lines = []
        while True:
            l = self.f.readline()
            if not l:
                self.transcript.append("S: <closed>")
                return "\n".join(lines) or ""
            lines.append(l.decode("latin-1").rstrip("\r\n"))
            self.transcript.append("S: " + lines[-1])
            if l[3:4] != b"-":
                return "\n".join(lines)

    def cmd(self, line):
        self.transcript.append("C: " + line)
        self.s.sendall(line.encode("latin-1") + b"\r\n")
        return self.reply()

    def send(self, sender, rcpts, message, helo="client.example"):
        """The last reply."""
        for c in ["EHLO " + helo, "MAIL FROM:<%s>" % sender] + ["RCPT TO:<%s>" % r for r in rcpts] + ["DATA"]:
            r = self.cmd(c)
            if r[:1] not in "23":
                return r
        body = message.replace("\r\n", "\n").replace("\n.", "\n..").replace("\n", "\r\n")
        self.s.sendall(body.encode("latin-1") + (b"" if body.endswith("\r\n") else b"\r\n") + b".\r\n")
        return self.reply()

    def quit(self):
        self.cmd("QUIT")
        self.s.close()


class Tap:
    def __init__(self):
        self.n = self.bad = 0

    def ok(self, cond, name, detail=""):
        self.n += 1
        print("%sok %d - %s" % ("" if cond else "not ", self.n, name), flush=True)
        if not cond:
            self.bad += 1
            for l in str(detail).split("\n"):
                print("# " + l)
        return bool(cond)

    def eq(self, got, want, name):
        return self.ok(got == want, name, "got  %r\nwant %r" % (got, want))

    def done(self):
        print("1..%d" % self.n)
        return 1 if self.bad or not self.n else 0
