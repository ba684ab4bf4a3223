#!/usr/bin/env python3
"""maillog_file: rotation under load, permissions, links, the postlog service, standard output; lines that cannot be forged (N-317, N-318, N-332, N-333,
N-334, N-339, N-340)."""
import gzip
import os
import re
import signal
import socket
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from instance import INST, Client, Instance, free_port, wait_for  # noqa: E402

n = 0


def ok(cond, name, detail=""):
    global n
    n += 1
    print("%sok %d - %s" % ("" if cond else "not ", n, name))
    if not cond:
        print("".join("# %s\n" % l for l in str(detail)[-3000:].split("\n")), end="")


MAIN = ("virtual_mailbox_domains = box.example\nvirtual_transport = discard\nvirtual_mailbox_maps = static:x\n"
        "maillog_file_rotate_suffix = old\nmaillog_file_permissions = 0640\nmynetworks = 192.0.2.0/24\n")


def stamps_and_idents(text):
    """Lines that are not "Mon dd hh:mm:ss host ident[pid]: ..." """
    return [l for l in text.split("\n") if l and not re.match(r"^[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d \S+ [^\s\[]+\[\d+\]: ", l)]


def send(i, k):
    c = Client(i.port)
    for line in ("EHLO c.example", "MAIL FROM:<a%d@x.example>" % k, "RCPT TO:<b@box.example>", "DATA"):
        c.s.sendall((line + "\r\n").encode())
        c.reply()
    c.s.sendall(b"Subject: x\r\n\r\nx\r\n.\r\nQUIT\r\n")
    c.reply()
    c.f.close()
    c.s.close()


def rotation(i):
    pids = set(i.processes())
    for k in range(20):
        send(i, k)
    wait_for("20 deliveries", lambda: i.log().count("status=sent") == 20)
    ok(os.stat(i.dir + "/mail.log").st_mode & 0o777 == 0o640, "a new log has maillog_file_permissions")
    r = i.command("postfix", "logrotate")
    ok(r.returncode == 0, "postfix logrotate", r)
    ok(set(i.processes()) == pids, "no process has died of it", (pids, i.processes()))
    ok(os.path.exists(i.dir + "/mail.log.old.gz") and not os.path.exists(i.dir + "/mail.log.old"), "the old file has the suffix and is compressed", os.listdir(i.dir))
    before = gzip.open(i.dir + "/mail.log.old.gz", "rt").read()
    for k in range(20, 40):
        send(i, k)
    wait_for("20 more", lambda: i.log().count("status=sent") == 20)
    ok(before.count("status=sent") == 20 and before.count("queue active") == 20 and i.log().count("queue active") == 20,
       "each line is in one of the two files", i.log())
    r = i.command("postfix", "logrotate")
    os.path.exists(i.dir + "/mail.log.old") and os.unlink(i.dir + "/mail.log.old")
    i.write("main.cf", open(i.etc + "/main.cf").read().replace("rotate_suffix = old", "rotate_suffix = ../x/%Y"))
    r = i.command("postfix", "logrotate")
    ok(r.returncode != 0 and "not part of a file's name" in r.stderr, "N-318: a suffix with a path is refused", r)
    i.write("main.cf", open(i.etc + "/main.cf").read().replace("rotate_suffix = ../x/%Y", "rotate_suffix = old"))


def hostile_lines(i):
    evil = ["a\x1b[2Jb", "x%n%s%s", "bell\x07", "c1\x9b31m", "nul\x00x", "tab\ty"]
    for e in evil:
        c = Client(i.port)
        for line in ("EHLO " + e, "MAIL FROM:<%s@x.example>" % e, "RCPT TO:<%s@box.example>" % e, e):
            c.s.sendall(line.encode("latin-1", "replace") + b"\r\n")
            c.reply()
        c.f.close()
        c.s.close()
    c = Client(i.port)
    forged = 'x client=trusted[10.0.0.1] SASL LOGIN authentication failed'
    for line in ("EHLO " + forged.replace(" ", "_"), "EHLO " + forged, "MAIL FROM:<a@x.example>",
                 'RCPT TO:<"a> to=<x@y>, status=sent ("@box.example>', 'RCPT TO:<nobody@elsewhere.example>'):
        c.s.sendall(line.encode() + b"\r\n")
        c.reply()
    c.s.sendall(b"EHLO " + b"y" * 1500 + b"\r\n")
    c.reply()
    c.s.sendall(b"RCPT TO:<" + b"z" * 60000 + b"@elsewhere.example>\r\n")
    c.reply()
    c.f.close()
    c.s.close()
    i.wait_log("reject: RCPT")
    wait_for("the sessions' ends", lambda: i.log().count("disconnect from") >= len(evil) + 1)
    raw = open(i.dir + "/mail.log", "rb").read()
    ok(not re.search(rb"[\x00-\x09\x0b-\x1f\x7f]", raw), "N-332: no control byte reaches the log", re.findall(rb".*[\x00-\x09\x0b-\x1f\x7f].*", raw)[:3])
    try:
        raw.decode("utf-8")
        valid = True
    except UnicodeDecodeError:
        valid = False
    ok(valid, "N-332: the log is UTF-8")
    ok(not stamps_and_idents(i.log()), "N-332: one record for each event, each with time, host and process", stamps_and_idents(i.log())[:3])
    ok(max(len(l) for l in i.log().split("\n")) <= 4200, "N-333: a long field is cut, the record stays one line")
    lines = [l for l in i.log().split("\n") if "x@y" in l]
    ok(lines and all('<"a> to=<x@y>, status=sent ("@box.example>' in l for l in lines), "N-334: an odd address stands in quotes", lines)
    lines = [l for l in i.log().split("\n") if "10.0.0.1" in l]
    ok(lines and all(re.search(r"from \S+\[127\.0\.0\.1\]", l.split("10.0.0.1")[0]) for l in lines), "N-339: the client stands in front of what it says", lines)


def service(i):
    path = i.dir + "/spool/public/postlog"
    wait_for("the postlog service", lambda: os.path.exists(path))
    s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    s.connect(path)
    for d in (b"me[1]: hello", b"%n%s%s", b"", b"\0\0", b"a\nNov  1 00:00:00 host postfix/smtpd[1]: forged", b"x" * 8000, b"\x1b[2J", b"me[1]: last"):
        s.send(d)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 300000)
    try:
        s.send(b"y" * 65000)
    except OSError:
        pass
    i.wait_log("me[1]: last")
    log = i.log()
    ok("me[1]: hello" in log and "%n%s%s" in log, "N-317: a line of a command, formats are text")
    ok(not [l for l in log.split("\n") if l.startswith("Nov  1 00:00:00")] and not re.search(r"[\x00-\x08\x1b]", log), "N-317: a datagram is one line without control bytes")
    ok(max(len(l) for l in log.split("\n")) <= 4200, "N-317: and bounded")
    r = i.command("postlog", "-t", "tag", "-p", "warn", "two", "words")
    ok(i.logged("tag[", "]: warning: two words"), "postlog", r)


def links(i):
    target = i.dir + "/target"
    open(target, "w").close()
    os.unlink(i.dir + "/mail.log") if os.path.exists(i.dir + "/mail.log") else None
    os.link(target, i.dir + "/mail.log")
    r = i.command("postfix", "start")
    ok(os.stat(target).st_size == 0, "N-318: nothing is written through a hard link", open(target).read()[:200])
    i.command("postfix", "stop")
    os.unlink(i.dir + "/mail.log")
    if os.geteuid() == 0:
        os.symlink(target, i.dir + "/mail.log")
        os.lchown(i.dir + "/mail.log", 65534, 65534)
        i.command("postfix", "start")
        ok(os.stat(target).st_size == 0, "N-318: nor through another user's symbolic link", open(target).read()[:200])
        i.command("postfix", "stop")
        os.unlink(i.dir + "/mail.log")
    i.write("main.cf", open(i.etc + "/main.cf").read() + "maillog_file_prefixes = /var/log\n")
    r = i.command("postfix", "start")
    ok(r.returncode != 0 and "maillog_file_prefixes" in r.stderr, "N-318: a place that maillog_file_prefixes does not allow stops the start", r)
    for mode in ("0666", "0777", "0200", "rw"):
        i.write("main.cf", open(i.etc + "/main.cf").read().replace("maillog_file_prefixes = /var/log\n", "") + "maillog_file_permissions = %s\n" % mode)
        r = i.command("postfix", "start")
        ok(r.returncode != 0 and "maillog_file_permissions" in r.stderr, "N-318: mode %s stops the start" % mode, r)


def foreground():
    i = Instance(main=MAIN)
    text = open(i.etc + "/main.cf").read()
    i.write("main.cf", re.sub(r"maillog_file = .*", "maillog_file = /dev/stdout", text) + "maillog_file_prefixes = /dev/stdout\n")
    r = i.command("postfix", "start")
    ok(r.returncode != 0 and "start-fg" in r.stderr, "standard output is for start-fg", r)
    p = subprocess.Popen([INST + "/sbin/postfix", "-c", i.etc, "start-fg"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=i.env)
    try:
        wait_for("a port that answers", lambda: socket.socket().connect_ex(("127.0.0.1", i.port)) == 0)
        send(i, 1)
        wait_for("an empty queue", i.queue_is_empty)
        p.send_signal(signal.SIGTERM)
        out, err = p.communicate(timeout=20)
        ok("daemon started" in out and "status=sent" in out and not stamps_and_idents(out), "start-fg logs to standard output", out)
        ok("status=sent" not in err, "once")
        ok(p.returncode == 0, "and ends with its master", p.returncode)
    finally:
        p.kill()
        i.stop()


def full_disk():
    """N-340: a sink that takes nothing does not stop the mail."""
    i = Instance(main=MAIN)
    text = open(i.etc + "/main.cf").read()
    i.write("main.cf", re.sub(r"maillog_file = .*", "maillog_file = /dev/full", text) + "maillog_file_prefixes = /dev\n")
    try:
        i.command("postfix", "start")
        t = time.monotonic()
        for k in range(20):
            send(i, k)
        wait_for("an empty queue", i.queue_is_empty)
        ok(time.monotonic() - t < 15, "N-340: mail goes on when the log's disk is full", time.monotonic() - t)
    finally:
        i.stop()


main = Instance(main=MAIN)
try:
    main.start()
    rotation(main)
    hostile_lines(main)
    service(main)
    main.command("postfix", "stop")
    links(main)
finally:
    main.stop()
foreground()
full_disk()
print("1..%d" % n)
