#!/usr/bin/env python3
"""amavis.t: amavisd-new from Debian in the loop: as after-queue content filter, and as before-queue proxy filter."""
import os
import pwd
import socket
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from instance import Client, Instance, Tap, free_port, wait_for                   # noqa: E402

USER = "amavis" if os.geteuid() == 0 else pwd.getpwuid(os.geteuid()).pw_name
AFTER, BEFORE, SCAN, BACK = (free_port() for _ in range(4))
CONF = """
use strict;
$MYHOME = '%(d)s';
$daemon_user = '%(user)s';
$daemon_group = '%(user)s';
$TEMPBASE = '%(d)s/tmp';
$ENV{TMPDIR} = $TEMPBASE;
$QUARANTINEDIR = undef;
$virus_quarantine_to = $banned_quarantine_to = $bad_header_quarantine_to = $spam_quarantine_to = undef;
$db_home = '%(d)s/db';
$lock_file = '%(d)s/lock';
$pid_file = '%(d)s/pid';
$enable_db = 0;
$enable_zmq = 0;
$mydomain = 'test.example';
$myhostname = 'mx.test.example';
@local_domains_maps = (1);
@mynetworks = qw(127.0.0.0/8);
$inet_socket_bind = '127.0.0.1';
$inet_socket_port = %(scan)d;
$forward_method = $notify_method = 'smtp:[127.0.0.1]:%(back)d';
@bypass_virus_checks_maps = (1);
@bypass_spam_checks_maps = (1);
$max_servers = 2;
$do_syslog = 0;
$LOGFILE = '%(d)s/log';
$log_level = 1;
$final_banned_destiny = D_REJECT;
$warnbannedsender = 0;
$banned_filename_re = new_RE(qr'\\.exe$'i);
$allow_disclaimers = 0;
1;
"""
MASTER = """
127.0.0.1:%d inet n - n - - smtpd -o content_filter=amavis:[127.0.0.1]:%d
127.0.0.1:%d inet n - n - - smtpd -o smtpd_proxy_filter=127.0.0.1:%d
127.0.0.1:%d inet n - n - - smtpd -o content_filter= -o receive_override_options=no_header_body_checks,no_unknown_recipient_checks
  -o smtpd_authorized_xforward_hosts=127.0.0.0/8
amavis unix - - n - 2 smtp -o smtp_data_done_timeout=60s -o smtp_send_xforward_command=yes -o disable_dns_lookups=yes
""" % (AFTER, SCAN, BEFORE, SCAN, BACK)
BAD = "MIME-Version: 1.0\nContent-Type: application/octet-stream; name=\"a.exe\"\nContent-Disposition: attachment; filename=\"a.exe\"\n\nMZ not really\n"
tap = Tap()
inst = Instance("defer_transports = smtp\nconnection_cache_ttl_limit = 2s\n", MASTER)
d = inst.dir + "/am"


def send(port, message, n=[0]):
    n[0] += 1
    c = Client(port)
    r = c.send("s@x.example", ["b@x.example"], "From: s@x.example\nTo: b@x.example\nSubject: hello\nDate: Thu, 01 Jan 2015 10:00:00 +0000\nMessage-Id: <%d@x.example>\n%s" % (n[0], message))
    c.quit()
    return r


def listens():
    try:
        with socket.create_connection(("127.0.0.1", SCAN), 1) as s:
            return s.recv(3) == b"220"
    except OSError:
        return False


def status(qid):
    return wait_for("result of " + qid, lambda: [l for l in inst.log().split("\n") if qid in l and "relay=127.0.0.1" in l and "status=" in l], 60)[-1]


def stored(qid):
    return wait_for("message in the queue", lambda: inst.command("postcat", "-q", qid).stdout)


def after():
    q = send(AFTER, "\nan honest mail\n").split()[-1]
    line = status(q)
    tap.ok("relay=127.0.0.1[127.0.0.1]:%d" % SCAN in line and "status=sent (250 2.0.0 from MTA(smtp:[127.0.0.1]:%d)" % BACK in line, "amavisd takes it and gives it back", line)
    text = stored(line.split("queued as ")[1].rstrip(")"))
    tap.ok("(amavis, port" in text and "an honest mail" in text and "sender: s@x.example" in text, "with its mark", text)
    tap.ok("log_client_address=127.0.0.1" in text and inst.logged("orig_queue_id=" + q), "XFORWARD goes through", text)
    line = status(send(AFTER, BAD).split()[-1])
    tap.ok("status=bounced" in line and "dsn=5.7.0" in line and "BANNED" in line, "what it refuses bounces", line)


def before():
    r = send(BEFORE, "\nan honest mail\n")
    tap.ok(r.startswith("250 2.0.0 from MTA"), "before the queue: the reply comes through", r)
    tap.ok("(amavis, port" in stored(r.split("queued as ")[1].rstrip(")")), "and the mail is there")
    r = send(BEFORE, BAD)
    tap.ok(r.startswith("554 5.7.0") and "BANNED" in r, "so does a refusal", r)
    tap.ok(inst.wait_log("proxy-reject: END-OF-MESSAGE: 554 5.7.0"), "and is logged")


def main():
    os.mkdir(d)
    for x in ("tmp", "db"):
        os.mkdir(d + "/" + x)
    if os.geteuid() == 0:
        pw = pwd.getpwnam(USER)
        for x in ("", "/tmp", "/db"):
            os.chown(d + x, pw.pw_uid, pw.pw_gid)
    with open(inst.dir + "/amavisd.conf", "w") as f:
        f.write(CONF % {"d": d, "user": USER, "scan": SCAN, "back": BACK})
    with inst:
        r = send(BEFORE, "\nnobody scans\n")
        tap.eq(r, "451 4.3.0 Error: queue file write error", "without amavisd: try again later")
        p = subprocess.Popen(["/usr/sbin/amavisd", "-c", inst.dir + "/amavisd.conf", "foreground"], stdout=open(inst.dir + "/am.out", "w"), stderr=subprocess.STDOUT)
        try:
            wait_for("amavisd", lambda: listens() or p.poll() is not None, 60)
            if p.poll() is not None:
                raise RuntimeError(open(inst.dir + "/am.out").read())
            after()
            before()
        finally:
            p.terminate()
            p.wait()
    return tap.done()


sys.exit(main())
