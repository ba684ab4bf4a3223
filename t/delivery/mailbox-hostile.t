#!/usr/bin/env python3
"""mailbox-hostile.t: mailboxes and .forward files that are not what they should be: links, locks, full disks, odd kinds and modes, hostile content.

N-253 N-254 N-255 N-256 N-257 N-263 N-264 N-271"""
import fcntl
import os
import pwd
import shutil
import signal
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from instance import Client, Instance, Tap, wait_for                               # noqa: E402

tap = Tap()
if os.geteuid() != 0:
    print("1..0 # SKIP needs root")
    sys.exit(0)
USER = pwd.getpwnam("games")
OTHER = pwd.getpwnam("news")
CONFIG = ("mydestination = here.test\nlocal_recipient_maps =\nmail_spool_directory = @DIR@/box\nmailbox_delivery_lock = dotlock, fcntl\nstale_lock_time = 3s\n"
          "deliver_lock_attempts = 2\ndeliver_lock_delay = 1s\nmailbox_size_limit = 90000000\nmessage_size_limit = 80000000\nforward_path = @DIR@/fwd/$user\n"
          "alias_maps =\nbiff = no\nminimal_backoff_time = 1h\nmaximal_backoff_time = 1h\n")
inst = Instance(CONFIG, "local unix - n n - - local\n")
box, fwd = inst.dir + "/box/games", inst.dir + "/fwd/games"


def send(body="x\n", sender="", rcpt="games@here.test", subject="x"):
    """The log line of the result."""
    c = Client(inst.port)
    r = c.send(sender, [rcpt], "Subject: %s\n\n%s" % (subject, body))
    c.s.close()
    if not r.startswith("250"):
        return r
    qid = r.rsplit(" ", 1)[1]
    wait_for("the result", lambda: "%s: to=<" % qid in inst.log())
    return [l for l in inst.log().split("\n") if "%s: to=<" % qid in l][0]


def clear(path):
    if os.path.islink(path) or os.path.isfile(path) or os.path.exists(path) and not os.path.isdir(path):
        os.unlink(path)
    elif os.path.isdir(path):
        shutil.rmtree(path)


def own(path, mode=0o600, user=USER):
    os.chown(path, user.pw_uid, user.pw_gid)
    os.chmod(path, mode)


def links():
    victim = inst.dir + "/victim"
    open(victim, "w").write("precious\n")
    os.symlink(victim, box)
    line = send()
    tap.ok("status=deferred" in line or "status=bounced" in line, "N-253 a mailbox that is a link to a file of root: not written", line)
    clear(box)
    os.link(victim, box)
    line = send()
    tap.ok("status=sent" not in line, "N-253 one that is another name of a file of root: not written", line)
    clear(box)
    open(box, "w").close()
    own(box)
    # Swapped again and again while mail is delivered.
    stop = threading.Event()

    def swap():
        while not stop.is_set():
            for make in (lambda: os.symlink(victim, box + ".n"), lambda: (open(box + ".n", "w").close(), own(box + ".n"))):
                make()
                os.rename(box + ".n", box)
    t = threading.Thread(target=swap)
    t.start()
    for _ in range(30):
        send()
    stop.set()
    t.join()
    tap.ok(open(victim).read() == "precious\n", "N-253 swapped for a link again and again: root's file is as it was")
    clear(box)


def locks():
    lock = box + ".lock"
    open(lock, "w").close()
    line = send()
    tap.ok("dsn=4." in line and "status=deferred" in line and os.path.exists(lock), "N-254 a fresh dotlock: the mail waits", line)
    os.utime(lock, (time.time() - 60, time.time() - 60))
    line = send()
    tap.ok("status=deferred" in line and os.path.exists(lock), "N-254 a stale one of another user in a sticky folder: it cannot be removed, the mail waits", line)
    own(lock)
    os.utime(lock, (time.time() - 60, time.time() - 60))
    line = send()
    tap.ok("status=sent" in line and not os.path.exists(lock), "N-254 a stale one is removed", line)
    os.mkdir(lock)
    line = send()
    tap.ok("status=deferred" in line and os.path.isdir(lock), "N-254 a folder of that name: the mail waits", line)
    os.rmdir(lock)
    target = inst.dir + "/locktarget"
    os.symlink(target, lock)
    line = send()
    tap.ok("status=deferred" in line and not os.path.exists(target), "N-254 a link of that name is not followed", line)
    os.unlink(lock)
    with open(box, "r+") as f:          # somebody who reads his mail
        fcntl.lockf(f, fcntl.LOCK_EX)
        line = send()
        tap.ok("status=deferred" in line, "N-254 N-271 somebody holds the file's own lock: the mail waits", line)
    holder = subprocess.Popen([sys.executable, "-c", "import fcntl,sys,time\nf=open(%r,'r+')\nfcntl.lockf(f,fcntl.LOCK_EX)\nprint('held',flush=True)\ntime.sleep(600)" % box], stdout=subprocess.PIPE)
    holder.stdout.readline()
    holder.kill()
    holder.wait()
    tap.ok("status=sent" in send(), "N-271 who was killed holding it leaves it free")
    clear(box)


def many():
    """Many messages at once for one mailbox."""
    inst.command("postsuper", "-d", "ALL")
    open(box, "w").close()
    own(box)
    before = inst.log().count("status=sent")
    body = "\n".join("line %d" % i for i in range(200)) + "\n"

    def one(i):
        Client(inst.port).send("", ["games@here.test"], "Subject: number %d\n\n%s" % (i, body))
    threads = [threading.Thread(target=one, args=(i,)) for i in range(20)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    wait_for("all of them", lambda: inst.log().count("status=sent") - before >= 20 or inst.command("postqueue", "-f") and False, 60, 0.3)
    text = open(box).read()
    mails = text.split("\n\nFrom MAILER-DAEMON")
    tap.ok(len(mails) == 20 and all(m.count(body.rstrip("\n")) == 1 for m in mails), "N-271 twenty at once, several writers: none is within another", len(mails))
    clear(box)


def content():
    tap.ok("status=sent" in send("From the beginning\n>From x\nfine\nFrom here", subject="a"), "N-255 lines that begin with From")
    tap.ok("status=sent" in send("nul \0 here\nno end", subject="b"), "N-255 a NUL, and no end of the last line")
    tap.ok("status=sent" in send("third\n", subject="c"), "and one behind it")
    data = open(box, "rb").read()
    starts = [i for i in range(len(data)) if data.startswith(b"From ", i) and (i == 0 or data[i - 2:i] == b"\n\n")]
    tap.ok(len(starts) == 3 and data.count(b"\nFrom ") == 2, "N-255 three mails, each begun by its own line", data)
    tap.ok(b">From the beginning\n" in data and b"\n>From here\n" in data, "N-255 From in the content is marked")
    tap.ok(b"nul \0 here\nno end\n\nFrom " in data, "N-255 the NUL is there, the last line has an end, the next mail is not joined")
    clear(box)
    for sender in ("a\rb", "a\x0bb", '"a\r\nX: y"'):
        c = Client(inst.port)
        c.cmd("EHLO client.example")
        c.s.sendall(("MAIL FROM:<%s@client.example>\r\n" % sender).encode())
        if c.reply().startswith("250"):
            c.cmd("RCPT TO:<games@here.test>")
            c.cmd("DATA")
            c.s.sendall(b"Subject: x\r\n\r\nx\r\n.\r\n")
            qid = c.reply().rsplit(" ", 1)[1]
            wait_for("the result", lambda: qid + ": to=<" in inst.log())
        c.s.close()
    lines = open(box).read().split("\n") if os.path.exists(box) else []
    tap.ok(not [l for l in lines if l.startswith("X: y") or l.startswith("b@client")], "N-256 no line of a mailbox is made of a sender's line breaks", lines[:20])
    clear(box)


def full_disk():
    small = inst.dir + "/small"
    os.mkdir(small)
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k,mode=1777", "none", small], capture_output=True).returncode:
        print("# no mount here: a full disk cannot be made")
        return
    try:
        real = small + "/games"
        open(real, "w").write("From x Thu Jan  1 00:00:00 2026\n\nold\n\n")
        own(real)
        inst.command("postconf", "-e", "mail_spool_directory = " + small)
        inst.command("postfix", "reload")
        wait_for("the reload", lambda: "status=sent" in send(subject="first") and "first" in open(real).read())
        before = open(real).read()
        line = send("y" * 70 + "\n" + ("z" * 70 + "\n") * 8000)
        tap.ok("status=deferred" in line and "dsn=4." in line, "N-257 the disk is full in the middle of a message: it waits", line)
        tap.ok(open(real).read() == before and not os.path.exists(real + ".lock"), "N-257 the mailbox is as it was, and not locked")
        tap.ok("status=sent" in send(subject="last"), "N-257 a smaller one fits")
    finally:
        subprocess.run(["umount", "-l", small])
        inst.command("postconf", "-e", "mail_spool_directory = " + inst.dir + "/box")
        inst.command("postfix", "reload")
        os.rmdir(small)


def forwards():
    def refused(what):
        line = send()
        here = os.path.exists(box)
        tap.ok("other@" not in line and "postmaster@" not in line, "N-263 %s: nobody else gets the mail" % what, line)
        tap.ok(here or "status=deferred" in line, "N-263 %s: it is in the mailbox, or waits" % what, line)
        clear(box)
        clear(fwd)

    target = "other@away.test\n"
    wait_for("the old folder", lambda: "status=sent" in send() and os.path.exists(box))
    clear(box)
    open(fwd, "w").write(target)
    own(fwd, 0o644, OTHER)
    refused("a .forward of somebody else")
    open(fwd, "w").write(target)
    own(fwd, 0o666)
    refused("one that the world may write")
    os.mkfifo(fwd)
    own(fwd, 0o644)
    refused("a FIFO")
    os.mkdir(fwd)
    own(fwd, 0o755)
    refused("a folder")
    secret = inst.dir + "/secret"
    open(secret, "w").write(target)
    os.chmod(secret, 0o600)
    os.symlink(secret, fwd)
    refused("a link to what root alone can read")
    open(fwd, "w").write(target)
    own(fwd, 0)
    refused("mode 000")
    open(fwd, "w").write("\\games, \0\n")
    own(fwd, 0o644)
    line = send()
    tap.ok("status=" in line, "N-263 a NUL in a .forward ends nothing", line)
    clear(box)
    with open(fwd, "w") as f:
        f.truncate(1 << 30)
    own(fwd, 0o644)
    line = send()
    tap.ok("status=" in line, "N-263 one of a gibibyte ends nothing", line)
    clear(box)
    for text in ("\"|unbalanced\n", "\"unbalanced\n", "a@b@\n", "games, games@here.test, \\games\n", "\n".join("u%d@here.test" % i for i in range(3000)) + "\n"):
        clear(fwd)
        open(fwd, "w").write(text)
        own(fwd, 0o644)
        line = send()
        tap.ok("status=" in line and inst.master_pid() == MASTER, "N-264 .forward with %r" % text[:30], line)
        clear(box)
    clear(fwd)


def main():
    global MASTER
    for d in ("box", "fwd"):
        os.mkdir("%s/%s" % (inst.dir, d))
    os.chmod(inst.dir + "/box", 0o1777)
    with inst:
        MASTER = inst.master_pid()
        links()
        locks()
        many()
        content()
        full_disk()
        forwards()
        tap.ok("panic" not in inst.log() and "killed by signal" not in inst.log(), "no process died", [l for l in inst.log().split("\n") if "signal" in l][:5])
    sys.exit(tap.done())


main()
