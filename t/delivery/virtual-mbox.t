#!/usr/bin/env python3
"""virtual-mbox.t: many deliveries of one process to one mbox at once: each style of lock keeps each message whole."""
import os
import sys
import threading

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from instance import Client, Instance, Tap, wait_for                               # noqa: E402

tap = Tap()
UID, GID = (os.geteuid(), os.getegid()) if os.geteuid() else (1, 1)
STYLES = ("fcntl", "flock", "dotlock")
N, CLIENTS = 24, 8
MAIN = ("virtual_mailbox_domains = %s again.fcntl.test\nvirtual_mailbox_maps = inline:{@again.fcntl.test=./box, %s}\nvirtual_uid_maps = static:%d\nvirtual_gid_maps = static:%d\nvirtual_minimum_uid = 1\n"
        "virtual_mailbox_limit = 0\nmessage_size_limit = 20000000\ninitial_destination_concurrency = 20\ntransport_maps = inline:{again.fcntl.test=fcntl:, %s}\n"
        % (" ".join(s + ".test" for s in STYLES), ", ".join("@%s.test=box" % s for s in STYLES), UID, GID, ", ".join("%s.test=%s:" % (s, s) for s in STYLES)))
MASTER = "".join("%s unix - n n - - virtual -o virtual_mailbox_lock=%s -o virtual_mailbox_base=@DIR@/mail/%s\n" % (s, s, s) for s in STYLES)


def body(style, i):
    """Every third one goes to the agent in pieces."""
    return "".join("%s-%02d-%06d %s\n" % (style, i, k, "x" * 50) for k in range((20000, 3, 900)[i % 3] + i))


def send(style, first):
    """Some of the mailbox with fcntl alone under another name: these do not wait for each other but for the lock."""
    c = Client(inst.port)
    for i in range(first, N, CLIENTS):
        c.send("s@client.example", ["u%d@%s%s.test" % (i, "again." if style == "fcntl" and i % 2 else "", style)], "Subject: %s\n\n%s" % (style, body(style, i)))
    c.quit()


def several(style):
    threads = [threading.Thread(target=send, args=(style, i)) for i in range(CLIENTS)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    wait_for("the results", lambda: inst.log().count("%s.test>, relay=" % style) >= N, 60)
    path = inst.dir + "/mail/%s/box" % style
    text = open(path).read()
    for i in range(N):
        tap.ok(text.count("\n\n" + body(style, i) + "\n") == 1, "%s: message %d is there, whole and once" % (style, i))
    tap.ok(text.count("\nReturn-Path: ") == N and len(text) < sum(len(body(style, i)) + 1000 for i in range(N)), "%s: and nothing else" % style, len(text))
    tap.eq(inst.log().count("%s.test>, relay=virtual" % style), inst.log().count("status=sent"), "%s: nobody waits in vain" % style)
    tap.ok(not os.path.exists(path + ".lock"), "%s: no lock stays" % style)
    os.truncate(inst.dir + "/mail.log", 0)


inst = Instance(MAIN, MASTER)
for style in STYLES:
    os.mkdir(inst.dir + "/mail/" + style)
    os.chown(inst.dir + "/mail/" + style, UID, GID)
with inst:
    for style in STYLES:
        several(style)
sys.exit(tap.done())
