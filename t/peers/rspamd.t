#!/usr/bin/env python3
"""rspamd.t: Rspamd from Debian as milter: its proxy worker, scanning by itself."""
import os
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from instance import Client, Instance, Tap, free_port, wait_for                   # noqa: E402
import socket                                                                     # noqa: E402

GTUBE = "XJS*C4JDBQADN1.NSBN3*2IDNEN*GTUBE-STANDARD-ANTI-UBE-TEST-EMAIL*C.34X"
ADD = "YJS*C4JDBQADN1.NSBN3*2IDNEN*GTUBE-STANDARD-ANTI-UBE-TEST-EMAIL*C.34X"       # "add header" of Rspamd's own
PORT = free_port()
CONF = """
options {
  pidfile = "%(d)s/pid";
  tempdir = "%(d)s";
  filters = "";
  url_tld = "/usr/share/rspamd/effective_tld_names.dat";
  enable_test_patterns = true;
  dns { nameserver = ["127.0.0.1:1"]; timeout = 0.1s; retransmits = 1; }
}
logging { type = "file"; filename = "%(d)s/log"; level = "info"; }
actions { reject = 15; add_header = 6; greylist = 4; }
worker "rspamd_proxy" {
  bind_socket = "127.0.0.1:%(port)d";
  milter = yes;
  timeout = 20s;
  count = 1;
  upstream "local" { default = yes; self_scan = yes; }
}
"""
tap = Tap()
inst = Instance("smtpd_milters = inet:127.0.0.1:%d\nmilter_protocol = 6\nmilter_default_action = tempfail\ndefer_transports = smtp\n" % PORT)
d = inst.dir + "/rspamd"


def send(body):
    c = Client(inst.port)
    r = c.send("s@x.example", ["b@x.example"], "From: s@x.example\nTo: b@x.example\nSubject: hello\nDate: Thu, 01 Jan 2015 10:00:00 +0000\nMessage-Id: <m@x.example>\n\n%s\n" % body)
    c.quit()
    return r


def stored(r):
    return wait_for("message in the queue", lambda: inst.command("postcat", "-q", r.split()[-1]).stdout)


def listens():
    try:
        socket.create_connection(("127.0.0.1", PORT), 1).close()
        return True
    except OSError:
        return False


def main():
    os.mkdir(d)
    os.chmod(d, 0o777)
    with open(d + "/conf", "w") as f:
        f.write(CONF % {"d": d, "port": PORT})
    with inst:
        tap.ok(send("nobody listens").startswith("451 4.7.1"), "without Rspamd: try again later")
        p = subprocess.Popen(["rspamd", "-i", "-f", "-c", d + "/conf"], stdout=open(d + "/out", "w"), stderr=subprocess.STDOUT)
        try:
            wait_for("rspamd", lambda: listens() or p.poll() is not None, 60)
            if p.poll() is not None:
                raise RuntimeError(open(d + "/out").read())
            r = send("an honest mail")
            tap.ok(r.startswith("250 2.0.0 Ok: queued as"), "an honest mail passes", r)
            text = stored(r)
            tap.ok("an honest mail" in text and "X-Spam: Yes" not in text, "unmarked", text)
            r = send(ADD)
            text = stored(r)
            tap.ok(r.startswith("250") and "X-Spam: Yes" in text, "what may be spam gets a header", text + open(d + "/log").read())
            r = send(GTUBE)
            tap.ok(r.startswith("554 5.7.1 "), "spam is refused", r)
            tap.ok(inst.wait_log("milter-reject: END-OF-MESSAGE"), "and logged")
        finally:
            p.terminate()
            p.wait()
    return tap.done()


sys.exit(main())
