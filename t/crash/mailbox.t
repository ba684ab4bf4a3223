#!/usr/bin/env python3
"""mailbox.t: a process that writes a mailbox dies in the middle, at each point that matters; then the password database fails.

N-258: local and virtual, mbox and Maildir: what was accepted is there in the end, whole, at worst twice, and nothing that is not whole is in new/; in an mbox the
message stands behind what the dead process has left, and begins a line of its own.
N-270: while the password database does not answer, mail waits and RCPT gets 450; nobody is unknown."""
import errno
import mmap
import os
import re
import struct
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from instance import TOP, Client, Instance, Tap, wait_for                          # noqa: E402

tap = Tap()
if os.geteuid() != 0 or os.environ.get("SANITIZED"):
    print("1..0 # SKIP needs root, and to be preloaded")
    sys.exit(0)
POINTS = ["", "half written", "before its sync", "synced", "before the rename", "renamed", "before the folder's sync", "folder synced"]
MBOX, MAILDIR = (1, 2, 3), range(1, 8)
MAIN = """mydestination = here.test, box.test
myorigin = here.test
local_recipient_maps = unix:passwd.byname
mailbox_delivery_lock = fcntl, dotlock
stale_lock_time = 1s
virtual_mailbox_domains = v.test
virtual_mailbox_base = @DIR@/box
virtual_mailbox_maps = inline:{ { dir@v.test = virtual/ } { box@v.test = virtual-box } }
virtual_uid_maps = static:@UID@
virtual_gid_maps = static:@GID@
virtual_minimum_uid = 1
virtual_mailbox_lock = fcntl
minimal_backoff_time = 1s
maximal_backoff_time = 1s
queue_run_delay = 1s
"""
MASTER = """local unix - n n - - local
  -o mail_spool_directory=@DIR@/box
mdir unix - n n - - local
  -o mail_spool_directory=@DIR@/box/maildir/
"""
MAIN = MAIN.replace("@UID@", "5").replace("@GID@", "60") + "transport_maps = inline:{ { games@box.test = mdir: } }\n"
inst = Instance(MAIN, MASTER)
box = inst.dir + "/box"
os.makedirs(box + "/maildir")
for d in (box, box + "/maildir"):
    os.chmod(d, 0o1777)


class Page:
    def __init__(self):
        path = inst.dir + "/page"
        with open(path, "wb") as f:
            f.write(bytes(4096))
        self.file = open(path, "r+b")
        self.map = mmap.mmap(self.file.fileno(), 4096)
        subprocess.run(["cc", "-O1", "-shared", "-fPIC", "-w", "-o", inst.dir + "/shim.so", TOP + "/t/crash/boxshim.c", "-ldl"], check=True)
        inst.env.update(LD_PRELOAD=inst.dir + "/shim.so", BOXSHIM_FILE=path, BOXSHIM_ROOT=box)

    def point(self, n=None):
        if n is not None:
            struct.pack_into("q", self.map, 0, n)
        return struct.unpack_from("q", self.map, 0)[0]

    def nss(self, e):
        struct.pack_into("q", self.map, 8, e)


def content(path):
    """The whole messages there, and what is in new/ and is none."""
    if os.path.isdir(path + "/new"):
        texts = [open(path + "/new/" + f).read() for f in os.listdir(path + "/new")]
        whole = [t for t in texts if t.endswith("-end-\n")]
        return whole, [t for t in texts if not t.endswith("-end-\n")]
    text = open(path).read() if os.path.isfile(path) else ""
    parts = [t for t in re.split(r"(?m)^(?=From )", text) if t]
    return [t for t in parts if t.rstrip("\n").endswith("-end-")], []


def deliver(page, n, rcpt, path, serial):
    key = "X-Id: %d\n" % serial
    page.point(n)
    c = Client(inst.port)
    reply = c.send("", [rcpt], key + "\n" + ("x" * 70 + "\n") * 400 + "-end-\n")
    c.quit()
    name = "%s: killed %s" % (rcpt, POINTS[n])
    if not tap.ok(reply.startswith("250"), name + ": accepted", reply):
        return
    try:
        wait_for("somebody to die", lambda: page.point() == 0, 5)
        wait_for("the message", lambda: any(key in t for t in content(path)[0]), 8)
        wait_for("the end of it", inst.queue_is_empty, 8)
    except TimeoutError as e:
        tap.ok(False, name, "%s\n%s" % (e, inst.log()[-1500:]))
        page.point(0)
        return
    whole, torn = content(path)
    times = sum(key in t for t in whole)
    tap.ok(1 <= times <= 2 and not torn and sum(len(re.findall(r"(?m)^X-Id: ", t)) > 1 for t in whole) == 0, name,
           "%d times, torn: %r" % (times, [t[:200] for t in torn]))


def name_service(page):
    page.nss(errno.ETIMEDOUT)
    c = Client(inst.port)
    c.cmd("EHLO x.test")
    c.cmd("MAIL FROM:<>")
    reply = c.cmd("RCPT TO:<news@here.test>")
    tap.ok(reply.startswith("451 4.3.0"), "N-270: RCPT while the password database does not answer", reply)
    c.quit()
    page.nss(0)
    c = Client(inst.port)
    r = [c.cmd(x) for x in ("EHLO x.test", "MAIL FROM:<>", "RCPT TO:<news@here.test>", "DATA")]
    page.nss(errno.ETIMEDOUT)
    c.s.sendall(b"X-Id: nss\r\n\r\n-end-\r\n.\r\n")
    tap.ok(c.reply().startswith("250"), "accepted when it did", r)
    c.quit()
    line = inst.wait_log("relay=local")[0]
    tap.ok("dsn=4." in line and "status=deferred (user lookup error)" in line, "its mail waits", line)
    page.nss(0)
    inst.command("postqueue", "-f")
    tap.ok(wait_for("its mailbox", lambda: os.path.exists(box + "/news")), "and comes when the password database is back")
    wait_for("an empty queue", inst.queue_is_empty)


def main():
    page = Page()
    serial = 0
    with inst:
        name_service(page)
        for rcpt, path, points in (("games@here.test", "games", MBOX), ("games@box.test", "maildir/games", MAILDIR), ("box@v.test", "virtual-box", (1,)),
                                   ("dir@v.test", "virtual", (1, 4, 5))):
            for n in points:
                serial += 1
                deliver(page, n, rcpt, box + "/" + path, serial)
    return tap.done()


sys.exit(main())
