#!/usr/bin/env python3
"""dovecot-deliver.t: Dovecot from Debian takes mail: its LDA through pipe(8), its LMTP server through lmtp(8)."""
import glob
import os
import pwd
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from instance import Client, Instance, Tap, wait_for                              # noqa: E402

ROOT = os.geteuid() == 0
USER = "games" if ROOT else pwd.getpwuid(os.geteuid()).pw_name
UID, GID = pwd.getpwnam(USER).pw_uid, pwd.getpwnam(USER).pw_gid
CONF = """
base_dir = %(d)s/run
state_dir = %(d)s/state
log_path = %(d)s/log
protocols = lmtp
listen = 127.0.0.1
ssl = no
mail_location = maildir:%(d)s/mail/%%n
first_valid_uid = 1
first_valid_gid = 1
default_internal_user = %(owner)s
default_internal_group = %(group)s
default_login_user = %(owner)s
postmaster_address = postmaster@test.example
recipient_delimiter = +
lda_mailbox_autocreate = yes
auth_mechanisms = plain
passdb {
  driver = static
  args = nopassword=y
}
userdb {
  driver = passwd-file
  args = %(d)s/users
  default_fields = uid=%(uid)d gid=%(gid)d home=%(d)s/mail
}
service lmtp {
  unix_listener %(d)s/lmtp {
    mode = 0666
  }
}
service auth {
  unix_listener auth-userdb {
    mode = 0666
  }
}
service stats {
  unix_listener stats-writer {
    mode = 0666
  }
}
"""
MASTER = "dovecot unix - n n - - pipe flags=DRhu user=%s argv=/usr/lib/dovecot/deliver -c @DIR@/dc/dovecot.conf -f ${sender} -d ${user}@${domain} -m ${extension}\n" % USER
MAIN = """
virtual_mailbox_domains = lda.example, lmtp.example
virtual_mailbox_maps =
transport_maps = inline:{lda.example=dovecot:, lmtp.example=lmtp:unix:@DIR@/dc/lmtp}
dovecot_destination_recipient_limit = 1
recipient_delimiter = +
"""
tap = Tap()
inst = Instance(MAIN, MASTER)
d = inst.dir + "/dc"


def send(*rcpts):
    c = Client(inst.port)
    r = c.send("s@x.example", rcpts, "From: s@x.example\nSubject: hello\n\nbody\n.dot\n")
    c.quit()
    return r.split()[-1]


def status(qid, rcpt):
    return wait_for("result of " + rcpt, lambda: [l for l in inst.log().split("\n") if qid in l and "to=<%s>" % rcpt in l and "status=" in l])[0]


def mails(where):
    return [open(f).read() for f in glob.glob(d + "/mail/%s/new/*" % where)]


def main():
    os.mkdir(d)
    for x in ("run", "state", "mail"):
        os.mkdir(d + "/" + x)
    os.chmod(d, 0o755)
    os.chown(d + "/mail", UID, GID)
    owner = pwd.getpwuid(os.geteuid()).pw_name if not ROOT else "nobody"
    with open(d + "/users", "w") as f:
        f.write("".join("%s::::::\n" % u for u in ("one@lda.example", "one@lmtp.example", "two@lmtp.example")))
    with open(d + "/dovecot.conf", "w") as f:
        f.write(CONF % {"d": d, "owner": owner, "group": "nogroup" if ROOT else "users", "uid": UID, "gid": GID})
    open(d + "/log", "w").close()
    os.chmod(d + "/log", 0o666)         # the delivery agent, which is another user, writes there as well
    err = open(d + "/stderr", "w")
    p = subprocess.Popen(["/usr/sbin/dovecot", "-F", "-c", d + "/dovecot.conf"], stdout=err, stderr=err)
    try:
        wait_for("dovecot", lambda: os.path.exists(d + "/lmtp") or p.poll() is not None)
        if p.poll() is not None:
            raise RuntimeError(open(d + "/stderr").read())
        with inst:
            q = send("One+Box@lda.example", "nobody@lda.example")
            line = status(q, "One+Box@lda.example")
            tap.ok("relay=dovecot" in line and "status=sent (delivered via dovecot service" in line, "the LDA takes mail", line + open(d + "/log").read())
            got = mails("one/.box")
            tap.ok(len(got) == 1 and got[0].startswith("Return-Path: <s@x.example>\nDelivered-To: One+Box@lda.example\n") and got[0].endswith("\nbody\n.dot\n"),
                   "into the extension's folder, as it is", got)
            line = status(q, "nobody@lda.example")
            tap.ok("dsn=5.1.1, status=bounced (user unknown" in line, "whom it does not know bounces", line)
            q = send("one@lmtp.example", "two@lmtp.example", "nobody@lmtp.example")
            for u in ("one", "two"):
                line = status(q, u + "@lmtp.example")
                tap.ok("status=sent (250 2.0.0 <%s@lmtp.example>" % u in line, "LMTP: %s" % u, line)
            line = status(q, "nobody@lmtp.example")
            tap.ok("dsn=5.1.1, status=bounced" in line and "User doesn't exist" in line, "LMTP: one of three is refused by itself", line)
            tap.eq(len(mails("two")), 1, "LMTP: each has it once")
    finally:
        p.terminate()
        p.wait()
    return tap.done()


sys.exit(main())
