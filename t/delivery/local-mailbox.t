#!/usr/bin/env python3
"""local-mailbox.t: the processes that write mailboxes: with whose rights, for how many messages, and what follows when one of them dies or fails."""
import os
import pwd
import signal
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from instance import Client, Instance, Tap, wait_for                               # noqa: E402

tap = Tap()
if os.geteuid() != 0:
    print("1..0 # SKIP needs root")
    sys.exit(0)
inst = Instance("mydestination = here.test\nlocal_recipient_maps =\nmail_spool_directory = @DIR@/box/\nmailbox_size_limit = 1000000\nmessage_size_limit = 800000\n"
                "alias_maps = inline:{{file=@DIR@/box/file}, {gone=@DIR@/nowhere/file}}\n", "local unix - n n - - local\n")
box = inst.dir + "/box"


def status(pid):
    try:
        return dict(l.split(":", 1) for l in open("/proc/%d/status" % pid).read().split("\n") if ":" in l)
    except OSError:
        return {}


def writers(user):
    """Processes below our master that are this user."""
    uid, found = pwd.getpwnam(user).pw_uid, []
    for p in filter(str.isdigit, os.listdir("/proc")):
        s = status(int(p))
        up = int(s.get("PPid", 0))
        if s.get("Uid", "").split()[:1] == [str(uid)] and s["State"].split()[0] != "Z" and int(status(up).get("PPid", 0)) == inst.master_pid():
            found.append(int(p))
    return found


def mails(user):
    try:
        return sorted(os.listdir("%s/%s/new" % (box, user)), key=lambda f: os.stat("%s/%s/new/%s" % (box, user, f)).st_mtime_ns)
    except FileNotFoundError:
        return []


def send(rcpt, body="x\n"):
    n = inst.log().count("to=<%s@here.test>" % rcpt)
    c = Client(inst.port)
    r = c.send("", [rcpt + "@here.test"], "Subject: x\n\n" + body)
    c.s.close()
    tap.ok(r.startswith("250"), "mail for %s is taken" % rcpt, r)
    wait_for("the result", lambda: inst.log().count("to=<%s@here.test>" % rcpt) > n)
    return [l for l in inst.log().split("\n") if "to=<%s@here.test>" % rcpt in l][-1]


def rights(pid, user):
    s, u = status(pid), pwd.getpwnam(user)
    groups = {str(g) for g in os.getgrouplist(user, u.pw_gid)}
    tap.ok(s["Uid"].split() == [str(u.pw_uid)] * 4 and s["Gid"].split() == [str(u.pw_gid)] * 4, "it is %s for good" % user, s)
    tap.ok(set(s["Groups"].split()) == groups, "with that user's groups", s["Groups"])
    tap.ok(int(s["CapEff"], 16) == 0 and int(s["CapPrm"], 16) == 0 and s["NoNewPrivs"].strip() == "1", "no capability, none to be gained", s)
    tap.ok(sorted(os.listdir("/proc/%d/fd" % pid)) == ["0", "1", "2"], "three descriptors", os.listdir("/proc/%d/fd" % pid))
    tap.ok(all(os.readlink("/proc/%d/fd/%d" % (pid, f)).startswith("pipe:") for f in range(3)), "all of them pipes to the agent")
    tap.ok(os.stat("/proc/%d/mem" % pid).st_uid == 0, "its user cannot look into it")


def main():
    os.mkdir(box)
    os.chmod(box, 0o1777)
    with inst:
        tap.ok("status=sent (delivered to maildir)" in send("games"), "the first message")
        first = writers("games")
        if not tap.ok(len(first) == 1, "one process writes for its user", first):
            return tap.done()
        rights(first[0], "games")
        send("games")
        send("news")
        tap.ok(writers("games") == first and len(mails("games")) == 2, "the same process writes the next one", writers("games"))
        tap.ok(len(writers("news")) == 1 and writers("news") != first, "another user has another process")
        os.kill(first[0], signal.SIGKILL)
        tap.ok("status=sent" in send("games") and len(mails("games")) == 3, "when it was killed, the next message does not have to wait", inst.log()[-1500:])
        second = writers("games")
        tap.ok(len(second) == 1 and second != first, "it has a new one", second)
        # Across the bound between memory and pieces, and with bytes that are easily lost.
        body = "".join("%06d From the Start\nFrom %d\n" % (i, i) for i in range(17000))
        send("games", body)
        text = open("%s/games/new/%s" % (box, mails("games")[-1])).read()
        tap.ok(text.endswith(body), "a large message is whole", (len(text), len(body)))
        tap.ok(writers("games") == second, "and the process is still in step")
        # What fails leaves nothing, and does not harm what follows.
        tap.ok("status=sent (delivered to file" in send("file", body), "a file")
        nobody, size = writers("nobody"), os.stat(box + "/file").st_size
        tap.ok("status=bounced" in send("file", body), "a message that does not fit is returned", inst.log()[-800:])
        tap.ok(os.stat(box + "/file").st_size == size, "nothing of it stays")
        tap.ok("status=bounced" in send("gone"), "a file in no folder")
        tap.ok("status=sent" in send("file") and os.stat(box + "/file").st_size > size and not os.path.exists(box + "/file.lock"), "the next one comes through")
        tap.ok(nobody and writers("nobody") == nobody, "all by the same process", (nobody, writers("nobody")))
        # Limits that contradict each other: no delivery at all, as in Postfix.
        inst.command("postconf", "-e", "mailbox_size_limit = 799999", check=True)
        c = inst.command("postfix", "check")
        tap.ok("service local: configuration error: mailbox_size_limit is smaller than message_size_limit" in c.stdout + c.stderr, "the check says so", c)
        inst.command("postfix", "stop", check=True)
        inst.start()
        tap.ok("status=deferred" in send("games"), "a mailbox that cannot hold the largest message: mail waits", inst.log()[-900:])
    return tap.done()


sys.exit(main())
