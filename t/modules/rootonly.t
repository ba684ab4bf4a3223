#!/usr/bin/env python3
"""rootonly.t: tables and keys that root alone can read (mode 0600, or below a folder of 0700): each process opens them before it gives up root.

As Postfix does.  Needs root; the tables: hash, texthash, sqlite (its .cf file has the password elsewhere), one below a closed folder, one behind -o.
Processes: smtpd (access, virtual aliases), queue manager (transports), delivery agent (generic addresses, the client's key)."""
import os
import sqlite3
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from instance import Client, Instance, Tap, free_port, wait_for   # noqa: E402

if os.geteuid() != 0:
    print("1..0 # SKIP needs root")
    sys.exit(0)

MAIN = """
smtpd_recipient_restrictions = check_sender_access sqlite:@ETC@/senders.cf, check_recipient_access proxy:hash:@ETC@/closed/access
proxy_read_maps = proxy:hash:@ETC@/closed/access
virtual_alias_domains = alias.test
virtual_alias_maps = texthash:@ETC@/aliases
transport_maps = hash:@ETC@/transports
smtp_tls_security_level = may
smtp_tls_key_file = @ETC@/client.key
smtp_tls_cert_file = @ETC@/client.pem
"""
MASTER = """
loop unix - - n - - smtp
    -o smtp_generic_maps=hash:@ETC@/generic
127.0.0.1:@PORT2@ inet n - n - - smtpd
    -o smtpd_recipient_restrictions=
    -o smtpd_client_restrictions=
    -o transport_maps=
"""
tap = Tap()
port2 = free_port()
router = Instance(MAIN, MASTER.replace("@PORT2@", str(port2)), files={
    "aliases": "someone@alias.test target@away.test\n", "senders.cf": "dbpath = @DIR@/db\nquery = SELECT action FROM senders WHERE sender = '%s'\n"})
os.mkdir(router.etc + "/closed", 0o700)


def table(name, text, mode=0o600, old=None):
    """hash:NAME made anew, as by postmap; old: so many seconds ago."""
    router.write(name, text)
    router.command("postmap", "hash:" + router.etc + "/" + name, check=True)
    os.chmod(router.etc + "/" + name, 0o600)
    os.chmod(router.etc + "/" + name + ".db", mode)
    if old:
        t = os.stat(router.etc + "/" + name + ".db").st_mtime - old
        os.utime(router.etc + "/" + name + ".db", (t, t))


table("closed/access", "bad@rcpt.test REJECT not him\n", 0o644)
table("transports", "away.test discard:by-table\nnext.test loop:[127.0.0.1]:%d\ndiscard.away.test discard:\n" % port2)
table("generic", "s@client.example other@generic.test\n")
db = sqlite3.connect(router.dir + "/db")
db.execute("CREATE TABLE senders (sender TEXT, action TEXT)")
db.execute("INSERT INTO senders VALUES ('bad@sender.test', 'REJECT not her')")
db.commit()
db.close()
subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj", "/CN=client",
                "-keyout", router.etc + "/client.key", "-out", router.etc + "/client.pem"], check=True, capture_output=True)
for f in ("aliases", "senders.cf", "client.key"):
    os.chmod(router.etc + "/" + f, 0o600)


def send(sender, rcpt, port=None):
    c = Client(port or router.port)
    r = c.send(sender, [rcpt], "Subject: x\n\nx\n")
    c.s.close()
    return r


with router:
    tap.ok("not her" in send("bad@sender.test", "x@away.test"), "smtpd: an SQL table whose .cf file is root's", router.log())
    tap.ok("not him" in send("s@client.example", "bad@rcpt.test"), "smtpd: a hash below a folder of root's, behind proxy:", router.log())
    q = send("s@client.example", "someone@alias.test").split()[-1]
    tap.ok(router.wait_log("%s: to=<target@away.test>, orig_to=<someone@alias.test>" % q)[0].endswith("(by-table)"),
           "clean-up has the aliases, the queue manager the transports", router.log())
    q = send("s@client.example", "x@next.test").split()[-1]
    line = router.wait_log("%s: to=<x@next.test>" % q)[0]
    tap.ok("status=sent" in line, "the agent has the client's key", line)
    tap.ok(router.wait_log("from=<other@generic.test>"), "and the table that its service line alone names", router.log())
    tap.eq([l for l in router.log().split("\n") if "unavailable" in l or "ermission denied" in l], [], "nothing is said to be unreadable")

    master = router.master_pid()
    workers = set(router.processes()) - {master}
    tap.ok("queued as" in send("s@client.example", "late@discard.away.test"), "before the table is changed", router.log())
    table("closed/access", "late@discard.away.test REJECT not him either\n", 0o644, old=5)
    router.wait_log("closed/access.db has changed -- restarting the processes")
    wait_for("the end of the old processes", lambda: not workers & set(router.processes()))
    tap.ok("not him either" in send("s@client.example", "late@discard.away.test"), "a table that was changed is opened anew, by new processes", router.log())
    tap.eq(router.master_pid(), master, "of the same master")
    q = send("s@client.example", "y@next.test").split()[-1]
    tap.ok("status=sent" in router.wait_log("%s: to=<y@next.test>" % q)[0], "and mail goes on")
sys.exit(tap.done())
