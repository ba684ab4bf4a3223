#!/usr/bin/env python3
"""Clients log in through real back ends from Debian: Dovecot's auth server, and libsasl2 with a sasldb and with saslauthd's absence."""
import base64
import hashlib
import hmac
import os
import pwd
import signal
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from backends import find
from instance import Client, Instance, Tap, wait_for

dovecot, saslpasswd = find("dovecot"), find("saslpasswd2")
t = Tap()
ROOT = os.geteuid() == 0

DOVECOT = """
base_dir = %(d)s/run
state_dir = %(d)s/state
log_path = %(d)s/log
protocols =
ssl = no
first_valid_uid = 1
first_valid_gid = 1
default_internal_user = %(owner)s
default_internal_group = %(group)s
default_login_user = %(owner)s
auth_mechanisms = plain login cram-md5 scram-sha-256
auth_failure_delay = 0
passdb {
  driver = passwd-file
  args = scheme=PLAIN username_format=%%u %(d)s/passwd
}
userdb {
  driver = static
  args = uid=65534 gid=65534 home=/nonexistent
}
service auth {
  unix_listener %(d)s/auth {
    mode = 0666
  }
}
service anvil {
  unix_listener anvil-auth-penalty {
    mode = 0
  }
}
service stats {
  unix_listener stats-writer {
    mode = 0666
  }
}
"""
MAIN = """
smtpd_sasl_auth_enable = yes
smtpd_relay_restrictions = permit_sasl_authenticated, reject
smtpd_sender_restrictions = reject_sender_login_mismatch
# libsasl2 adds the realm to the name
smtpd_sender_login_maps = inline:{{alice@test.example=alice,alice@test.example}, {both@test.example=alice,bob,alice@test.example}, bob@test.example=bob}
smtpd_sasl_authenticated_header = yes
virtual_mailbox_domains = box.example
virtual_mailbox_maps = static:x
virtual_transport = discard
"""


def b64(text):
    return base64.b64encode(text.encode()).decode()


def unb64(reply):
    return base64.b64decode(reply.split(" ", 1)[1])


def hello(i):
    c = Client(i.port)
    c.ehlo = c.cmd("EHLO x.test")
    return c


def plain(c, user, password):
    return c.cmd("AUTH PLAIN " + b64("\0%s\0%s" % (user, password)))


def login(c, user, password):
    c.cmd("AUTH LOGIN")
    c.cmd(b64(user))
    return c.cmd(b64(password))


def cram(c, user, password):
    r = c.cmd("AUTH CRAM-MD5")
    return c.cmd(b64("%s %s" % (user, hmac.new(password.encode(), unb64(r), hashlib.md5).hexdigest())))


def scram(c, user, password):
    """RFC 5802, 7677: the server has to prove that it knows the password as well."""
    first = "n=%s,r=clientnonce" % user
    r = c.cmd("AUTH SCRAM-SHA-256 " + b64("n,," + first))
    if not r.startswith("334"):
        return r
    server = unb64(r).decode()
    f = dict(x.split("=", 1) for x in server.split(","))
    salted = hashlib.pbkdf2_hmac("sha256", password.encode(), base64.b64decode(f["s"]), int(f["i"]))
    key = hmac.digest(salted, b"Client Key", "sha256")
    final = "c=biws,r=" + f["r"]
    text = ("%s,%s,%s" % (first, server, final)).encode()
    sign = hmac.digest(hashlib.sha256(key).digest(), text, "sha256")
    proof = base64.b64encode(bytes(a ^ b for a, b in zip(key, sign))).decode()
    r = c.cmd(b64("%s,p=%s" % (final, proof)))
    if not r.startswith("334"):
        return r
    want = b"v=" + base64.b64encode(hmac.digest(hmac.digest(salted, b"Server Key", "sha256"), text, "sha256"))
    return c.cmd("") if unb64(r) == want else "the server's proof is wrong"


def common(i, kind, mechs, methods, user="alice", bad="bob"):
    c = hello(i)
    have = [l for l in c.ehlo.split("\n") if "AUTH" in l]
    t.eq(sorted(have[0].split()[1:]) if have else None, sorted(mechs.split()), "%s: mechanisms in EHLO" % kind)
    for how in methods:
        c = hello(i)
        r = how(c, user, "wrong")
        t.ok(r.startswith("535 5.7.8 Error: authentication failed"), "%s: %s with a wrong password" % (kind, how.__name__), "\n".join(c.transcript))
        r = how(c, "nobody", "secret")
        t.ok(r.startswith("535 5.7.8 Error: authentication failed"), "N-118 %s: %s, an unknown user hears the same" % (kind, how.__name__), "\n".join(c.transcript))
        r = how(c, user, "secret")
        t.ok(r == "235 2.7.0 Authentication successful", "%s: %s" % (kind, how.__name__), "\n".join(c.transcript) + i.log()[-800:])
        c.quit()
    # N-120: who may send as whom.
    c = hello(i)
    plain(c, user, "secret")
    for sender, good in (("alice@test.example", 1), ("ALICE@Test.Example", 1), ("both@test.example", 1), ("alice+ext@test.example", 0), ("bob@test.example", 0), ("\"bob\"@test.example", 0),
                         ("@hub.example:bob@test.example", 0), ("BOB@TEST.example", 0), ("", 1), ("free@test.example", 0)):
        c.cmd("MAIL FROM:<%s>" % sender)
        r = c.cmd("RCPT TO:<x@box.example>")
        c.cmd("RSET")
        # an address that nobody owns is nobody's, for one who has logged in
        want = "250" if good else "553 5.7.1"
        t.ok(r.startswith(want), "N-120 %s: %s as <%s>: %s" % (kind, user, sender, want), r)
    c.quit()
    t.ok(all(b64("\0%s\0secret" % user) not in l and "secret" not in l for l in i.log().split("\n")), "N-119 %s: no password in the log" % kind)


def with_dovecot():
    i = Instance(MAIN + "smtpd_sasl_type = dovecot\nsmtpd_sasl_path = unix:@DIR@/dc/auth\nsmtpd_sasl_security_options = noanonymous\n")
    d = i.dir + "/dc"
    for x in ("", "/run", "/state"):
        os.mkdir(d + x)
        os.chmod(d + x, 0o755)
    with open(d + "/passwd", "w") as f:
        f.write("alice:{PLAIN}secret::::::\nbob:{PLAIN}other::::::\n")
    owner = "nobody" if ROOT else pwd.getpwuid(os.geteuid()).pw_name
    with open(d + "/dovecot.conf", "w") as f:
        f.write(DOVECOT % {"d": d, "owner": owner, "group": "nogroup" if ROOT else "users"})
    err = open(d + "/stderr", "w")

    def start():
        p = subprocess.Popen([dovecot, "-F", "-c", d + "/dovecot.conf"], stdout=err, stderr=err, start_new_session=True)
        wait_for("dovecot", lambda: os.path.exists(d + "/auth") or p.poll() is not None)
        if p.poll() is not None:
            raise RuntimeError(open(d + "/stderr").read() + open(d + "/log").read())
        return p
    p = start()
    try:
        with i:
            common(i, "Dovecot", "PLAIN LOGIN CRAM-MD5 SCRAM-SHA-256", (plain, login, cram, scram))
            c = hello(i)
            plain(c, "alice", "secret")
            r = c.send("alice@test.example", ["x@box.example"], "Subject: x\n\nbody\n")
            t.ok(r.startswith("250 2.0.0") and i.wait_log("sasl_method=PLAIN, sasl_username=alice"), "the log has method and name", r)
            # gone and back
            os.killpg(p.pid, signal.SIGKILL)
            p.wait()
            if os.path.exists(d + "/auth"):
                os.unlink(d + "/auth")
            c = Client(i.port)
            c.cmd("EHLO x.test")
            r = plain(c, "alice", "secret")
            t.ok(r[:3] in ("", "421", "454", "503") and not r.startswith("235"), "Dovecot is gone: nobody gets in", (r, c.transcript))
            p = start()
            t.ok(wait_for("Dovecot to be asked again", lambda: plain(hello(i), "alice", "secret").startswith("235"), 40), "Dovecot is back")
    finally:
        os.killpg(p.pid, signal.SIGKILL)
        p.wait()


def with_cyrus():
    i = Instance(MAIN + "smtpd_sasl_type = cyrus\nsmtpd_sasl_path = smtpd\ncyrus_sasl_config_path = @ETC@/sasl\nsmtpd_sasl_security_options = noanonymous\n"
                 "smtpd_sasl_local_domain = test.example\n")
    os.mkdir(i.etc + "/sasl")
    db = i.dir + "/sasldb2"
    with open(i.etc + "/sasl/smtpd.conf", "w") as f:
        f.write("pwcheck_method: auxprop\nauxprop_plugin: sasldb\nsasldb_path: %s\nmech_list: PLAIN LOGIN CRAM-MD5 SCRAM-SHA-256\n" % db)
    for user, password in (("alice", "secret"), ("bob", "other")):
        subprocess.run([saslpasswd, "-p", "-c", "-f", db, "-u", "test.example", user], input=password, text=True, check=True, capture_output=True)
    if ROOT:
        os.chown(db, pwd.getpwnam(i.owner).pw_uid, -1)
    with i:
        common(i, "Cyrus", "PLAIN LOGIN CRAM-MD5 SCRAM-SHA-256", (plain, login, cram, scram))
        os.rename(db, db + ".away")
        c = hello(i)
        r = plain(c, "alice", "secret")
        t.ok(r[:3] in ("535", "454"), "no sasldb: nobody gets in", r)
        os.rename(db + ".away", db)
        t.ok(plain(hello(i), "alice", "secret").startswith("235"), "the sasldb is back")


with_dovecot()
with_cyrus()
sys.exit(t.done())
