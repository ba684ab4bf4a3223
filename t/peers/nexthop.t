#!/usr/bin/env python3
"""Next hops that are the real thing: Dovecot's LMTP server (over a unix-domain socket and TCP), and Postfix over TLS."""
import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)) + "/../lib")
from instance import Client, Instance, Tap, free_port, wait_for

DOVECOT = """
base_dir = @D@/run
log_path = @D@/dovecot.log
protocols = lmtp
ssl = no
default_login_user = nobody
default_internal_user = daemon
default_internal_group = daemon
first_valid_uid = 1
auth_username_format = %Ln
mail_location = maildir:@D@/mail/%n
mail_uid = daemon
mail_gid = daemon
postmaster_address = postmaster@test.example
service lmtp {
  unix_listener @D@/lmtp {
    mode = 0666
  }
  inet_listener lmtp {
    address = 127.0.0.1
    port = @PORT@
  }
}
service stats {
  unix_listener stats-reader {
    mode = 0666
  }
  unix_listener stats-writer {
    mode = 0666
  }
}
passdb {
  driver = passwd-file
  args = @D@/users
}
userdb {
  driver = passwd-file
  args = @D@/users
}
"""

POSTFIX_MAIN = """
compatibility_level = 3.6
queue_directory = @D@/spool
data_directory = @D@/data
maillog_file = @D@/log
maillog_file_prefixes = @D@
mail_owner = postfix
myhostname = hop.example
mydestination =
virtual_mailbox_domains = hop.example
virtual_transport = discard
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
mynetworks =
smtpd_tls_security_level = encrypt
smtpd_tls_chain_files = @D@/tls.pem
smtpd_relay_restrictions = reject_unauth_destination
smtpd_recipient_restrictions = check_recipient_access inline:{no@hop.example=REJECT}
smtpd_peername_lookup = no
local_recipient_maps =
virtual_mailbox_maps =
"""
POSTFIX_MASTER = """
127.0.0.1:@PORT@ inet n - n - - smtpd
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
tlsmgr unix - - n 1000? 1 tlsmgr
anvil unix - - n - 1 anvil
discard unix - - n - - discard
error unix - - n - - error
retry unix - - n - - error
postlog unix-dgram n - n - 1 postlogd
"""


def fill(text, d, port):
    return text.replace("@D@", d).replace("@PORT@", str(port))


class Dovecot:
    def __init__(self):
        self.dir, self.port = tempfile.mkdtemp(prefix="dovecot.", dir="/var/tmp"), free_port()
        os.chmod(self.dir, 0o755)
        os.mkdir(self.dir + "/mail")
        os.chown(self.dir + "/mail", pwd.getpwnam("daemon").pw_uid, -1)
        open(self.dir + "/users", "w").write("ann:{PLAIN}x::::::\nbob:{PLAIN}x::::::\n")
        open(self.dir + "/conf", "w").write(fill(DOVECOT, self.dir, self.port))
        self.p = subprocess.Popen(["/usr/sbin/dovecot", "-F", "-c", self.dir + "/conf"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_for("dovecot", lambda: os.path.exists(self.dir + "/lmtp"))

    def mails(self, user):
        new = self.dir + "/mail/%s/new" % user
        return [open(new + "/" + f).read() for f in os.listdir(new)] if os.path.isdir(new) else []

    def log(self):
        return open(self.dir + "/dovecot.log").read()

    def stop(self):
        self.p.send_signal(signal.SIGTERM)
        self.p.wait(20)
        shutil.rmtree(self.dir, ignore_errors=True)


class Postfix:
    def __init__(self):
        self.dir, self.port = tempfile.mkdtemp(prefix="hop.", dir="/var/tmp"), free_port()
        os.chmod(self.dir, 0o755)
        for d in ("etc", "spool", "data"):
            os.mkdir(self.dir + "/" + d)
        os.chown(self.dir + "/data", pwd.getpwnam("postfix").pw_uid, -1)
        subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=hop.example", "-addext", "subjectAltName=DNS:hop.example,IP:127.0.0.1",
                        "-keyout", self.dir + "/key.pem", "-out", self.dir + "/cert.pem"], check=True, capture_output=True)
        open(self.dir + "/tls.pem", "w").write(open(self.dir + "/key.pem").read() + open(self.dir + "/cert.pem").read())
        open(self.dir + "/etc/main.cf", "w").write(fill(POSTFIX_MAIN, self.dir, self.port))
        open(self.dir + "/etc/master.cf", "w").write(fill(POSTFIX_MASTER, self.dir, self.port))
        self.run("start")

    def run(self, what):
        return subprocess.run(["/usr/sbin/postfix", "-c", self.dir + "/etc", what], capture_output=True, text=True, timeout=60)

    def log(self):
        return open(self.dir + "/log").read() if os.path.exists(self.dir + "/log") else ""

    def stop(self):
        self.run("stop")
        shutil.rmtree(self.dir, ignore_errors=True)


def dovecot_tests(t, i, dove):
    c = Client(i.port)
    c.send("s@test.example", ["ann@unix.test", "nobody@unix.test", "bob@unix.test"], "Subject: one\n\n.dot\nhello\n")
    c.send("s@test.example", ["bob@tcp.test"], "Subject: two\n\nhello\n")
    c.quit()
    for who, text in (("ann@unix.test", "dsn=2.0.0, status=sent (250 2.0.0 <ann"), ("bob@unix.test", "status=sent (250 2.0.0 <bob"),
                      ("nobody@unix.test", "dsn=5.1.1, status=bounced (host mx.test.example["), ("bob@tcp.test", "status=sent (250 2.0.0 <bob")):
        got = i.wait_log("to=<%s>" % who)[0]
        t.ok(text in got, "Dovecot LMTP: %s" % who, got)
    t.eq(len(dove.mails("ann")), 1, "one message in ann's mailbox")
    t.eq(sorted("one" if "Subject: one" in m else "two" for m in dove.mails("bob")), ["one", "two"], "two in bob's")
    t.ok("\n.dot\nhello\n" in dove.mails("ann")[0], "the dot is single again", dove.mails("ann")[0])
    t.ok(dove.mails("ann")[0].startswith("Return-Path: <s@test.example>\n"), "with its sender", dove.mails("ann")[0])


def postfix_tests(t, i, hop):
    c = Client(i.port)
    c.send("s@test.example", ["a@hop.example", "no@hop.example"] + ["u%d@hop.example" % n for n in range(60)], "Subject: x\n\n" + "line\n" * 1000)
    c.send("s@test.example", ["b@verify.test"], "Subject: x\n\nhello\n")
    c.quit()
    got = i.wait_log("to=<a@hop.example>")[0]
    t.ok("dsn=2.0.0, status=sent (250 2.0.0 Ok: queued as" in got, "Postfix takes it", got)
    got = i.wait_log("to=<no@hop.example>")[0]
    t.ok("dsn=5.7.1, status=bounced (host 127.0.0.1[127.0.0.1] said: 554 5.7.1 <no@hop.example>: Recipient address rejected: Access denied (in reply to RCPT TO command)" in got, "but not for everybody", got)
    t.ok(wait_for("62 results", lambda: i.log().count("@hop.example>, relay=127.0.0.1[127.0.0.1]:") == 62), "each recipient has its line")
    t.ok(i.logged("Verified TLS connection established to 127.0.0.1[127.0.0.1]:"), "over TLS, verified", i.log()[-2000:])
    got = i.wait_log("to=<b@verify.test>")[0]
    t.ok("dsn=4.7.5, status=deferred (Server certificate not verified)" in got, "another name: not verified", got)
    t.ok("improper command pipelining" not in hop.log() and "SSL_accept error" not in hop.log(), "Postfix has nothing to complain about", hop.log()[-2000:])


def main():
    t, dove, hop = Tap(), None, None
    try:
        dove, hop = Dovecot(), Postfix()
        main_cf = """
transport_maps = inline:{unix.test=lmtp:unix:%s/lmtp, tcp.test=lmtp:[127.0.0.1]:%d, hop.example=smtp:[127.0.0.1]:%d, verify.test=smtp:127.0.0.1:%d}
smtp_tls_policy_maps = inline:{ { 127.0.0.1:%d = secure match=other.example } }
smtp_tls_security_level = secure
smtp_tls_secure_cert_match = nexthop
smtp_tls_CAfile = %s/cert.pem
smtp_tls_loglevel = 1
smtp_host_lookup = native
""" % (dove.dir, dove.port, hop.port, hop.port, hop.port, hop.dir)
        with Instance(main_cf) as i:
            dovecot_tests(t, i, dove)
            postfix_tests(t, i, hop)
    finally:
        for p in (dove, hop):
            if p:
                if t.bad:
                    print("".join("# %s\n" % l for l in p.log().split("\n")[-20:]))
                p.stop()
    return t.done()


sys.exit(main())
