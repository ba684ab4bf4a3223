#!/usr/bin/env python3
"""Submission by ordinary users through set-gid postdrop, and what a hostile one may try (N-300, N-309 to N-315, N-320).

Runs as root in a mount namespace of its own, where the default configuration directory allows this test's."""
import os
import pwd
import signal
import struct
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from instance import INST, Instance, wait_for  # noqa: E402

n = 0


def ok(cond, name, detail=""):
    global n
    n += 1
    print("%sok %d - %s" % ("" if cond else "not ", n, name))
    if not cond and detail:
        print("".join("# %s\n" % l for l in str(detail).split("\n")), end="")


def skip(why):
    print("1..0 # skip " + why)
    sys.exit(0)


if os.geteuid() != 0:
    skip("needs root to become users")
try:
    DROP = os.stat(INST + "/sbin/postdrop")
except OSError:
    skip("postdrop is not installed")
if not DROP.st_mode & 0o2000:
    skip("postdrop is not set-gid: the group postdrop is not there")
if os.environ.get("SUBMIT_NS") != "1":
    os.makedirs(INST + "/etc/postfix", exist_ok=True)
    r = subprocess.run(["unshare", "-m", "true"])
    if r.returncode:
        skip("no mount namespaces")
    os.environ["SUBMIT_NS"] = "1"
    os.execvp("unshare", ["unshare", "-m", "--propagation", "private", sys.executable, os.path.abspath(__file__)])

USER = pwd.getpwnam("nobody")
import grp  # noqa: E402
GROUP = grp.getgrgid(DROP.st_gid).gr_name
i = Instance(main="setgid_group = %s\nmydestination = test.example\nlocal_transport = virtual\nvirtual_mailbox_base = @DIR@/mail\n"
             "virtual_mailbox_maps = static:box/\nvirtual_uid_maps = static:%d\nvirtual_gid_maps = static:%d\nvirtual_minimum_uid = 1\n"
             "message_size_limit = 100000\nauthorized_submit_users = !games, static:anyone\n"
             "local_login_sender_maps = inline:{ {nobody = *}, {daemon = daemon}, { uid:54321 = stranger@test.example } }\n" % (GROUP, USER.pw_uid, USER.pw_gid))
DEFAULT = i.dir + "/default"
os.mkdir(DEFAULT)
open(DEFAULT + "/main.cf", "w").write("compatibility_level = 3.6\nalternate_config_directories = %s\n" % i.etc)
subprocess.run(["mount", "--bind", DEFAULT, INST + "/etc/postfix"], check=True)
os.chown(i.dir + "/mail", USER.pw_uid, USER.pw_gid)
MAILDROP = i.dir + "/spool/maildrop"


def as_user(argv, uid=USER.pw_uid, gid=USER.pw_gid, data=b"", env=None, before=None, wait=30):
    def become():
        if before:
            before()
        os.setgroups([])
        os.setgid(gid)
        os.setuid(uid)
    e = {"PATH": INST + "/sbin:/usr/bin:/bin", "MAIL_CONFIG": i.etc, "LC_ALL": "C"}
    e.update(env or {})
    return subprocess.run(argv, input=data, capture_output=True, env=e, preexec_fn=become, timeout=wait, cwd="/")


def crc(data):
    c = 0xffffffff
    for b in data:
        c ^= b
        for _ in range(8):
            c = (c >> 1) ^ (0x82f63b78 if c & 1 else 0)
    return c ^ 0xffffffff


def rec(t, data):
    return t + struct.pack("<I", len(data)) + data


def stream(*recs, end=True):
    s = b"PHDROP1\n" + b"".join(recs)
    return s + (rec(b"X", struct.pack("<I", crc(s))) if end else b"")


S, R, C = rec(b"S", b"me@test.example"), rec(b"R", b"\0\0you@test.example"), rec(b"C", b"Subject: x\n\nx\n")
POSTDROP = [INST + "/sbin/postdrop", "-r"]


def left():
    return sorted(os.listdir(MAILDROP))


def main():
    os.makedirs(i.dir + "/spool", exist_ok=True)
    i.start()
    # ---- an honest user ----
    r = as_user([INST + "/sbin/sendmail", "you@test.example"], data=b"Subject: hello\n\nx\n")
    ok(r.returncode == 0, "a user submits through set-gid postdrop", r)
    wait_for("delivery", lambda: os.path.isdir(i.dir + "/mail/box/new") and os.listdir(i.dir + "/mail/box/new"))
    ok(i.logged("uid=%d from=<nobody>" % USER.pw_uid), "the owner of the file is who submitted", i.log()[-2000:])
    i.command("postfix", "stop")

    # ---- N-309: the record stream ----
    good = stream(S, R, C)
    r = as_user(POSTDROP, data=good)
    ok(r.returncode == 0 and b"status\0" + b"0" in r.stdout and len(left()) == 1, "N-309: a good stream is taken", r)
    for f in left():
        os.unlink(MAILDROP + "/" + f)
    bad = {
        "NUL in the sender": stream(rec(b"S", b"a\0b@x"), R, C),
        "LF in the sender": stream(rec(b"S", b"a\nb@x"), R, C),
        "CR in a recipient": stream(S, rec(b"R", b"\0\0a\rb"), C),
        "LF in the full name": stream(S, rec(b"F", b"x\nBcc: y"), R, C),
        "two senders": stream(S, S, R, C),
        "two full names": stream(S, rec(b"F", b"x"), rec(b"F", b"y"), R, C),
        "recipients before the sender": stream(R, S, C),
        "a recipient behind the content": stream(S, R, C, R),
        "no recipient": stream(S, C),
        "no sender": stream(R, C),
        "an unknown record": stream(S, rec(b"Z", b"x"), R, C),
        "a record of type 0": stream(S, rec(b"\0", b"x"), R, C),
        "flags of address probes": stream(S, rec(b"f", struct.pack("<I", 32)), R, C),
        "flags of the wrong length": stream(S, rec(b"f", b"ab"), R, C),
        "an attribute of the mail system": stream(S, rec(b"A", b"sasl_username=root"), R, C),
        "an attribute without a value": stream(S, rec(b"A", b"junk"), R, C),
        "bad notify bits": stream(S, rec(b"R", b"\xff\0you"), C),
        "a length that overflows": b"PHDROP1\nS\xff\xff\xff\xffabc",
        "a bad checksum": good[:-1] + bytes([good[-1] ^ 1]),
        "no end": stream(S, R, C, end=False) + b"C\x05",
        "not a stream at all": b"From: x\n\nhello\n",
    }
    for what, data in bad.items():
        r = as_user(POSTDROP, data=data)
        ok(r.returncode != 0 and b"uid=%d" % USER.pw_uid in r.stderr and not left(), "N-309: refused with a reason, nothing left: " + what, (r, left()))
    r = as_user(POSTDROP, data=stream(S, R, rec(b"C", b"x" * 60000), rec(b"C", b"x" * 60000)))
    ok(r.returncode != 0 and not left(), "N-309: larger than message_size_limit", r)
    r = as_user(POSTDROP, data=stream(S, R, C, end=False))
    ok(not left(), "a caller that gives up leaves nothing", left())

    # ---- N-310: signals at every point ----
    clean = True
    for cut in (0, 4, len(good) // 3, len(good) - 4):
        for sig in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGQUIT):
            p = subprocess.Popen(POSTDROP, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                                 env={"MAIL_CONFIG": i.etc}, preexec_fn=lambda: (os.setgid(USER.pw_gid), os.setuid(USER.pw_uid)))
            p.stdout.read(20)           # its file is there
            p.stdin.write(good[:cut])
            p.stdin.flush()
            p.send_signal(sig)
            p.stdin.close() if False else None
            p.wait(20)
            clean = clean and not left()
            p.stdin.close()
            p.stdout.close()
    ok(clean, "N-310: HUP, INT, QUIT, TERM at several points: the partial file is gone", left())

    # ---- N-311: a hostile environment ----
    for name, env in (("MAIL_CONFIG of a stranger", {"MAIL_CONFIG": "/tmp"}), ("MAIL_CONFIG in dots", {"MAIL_CONFIG": i.etc + "/../etc"})):
        for prog, args in (("postdrop", []), ("postqueue", ["-p"]), ("postlog", ["x"])):
            r = as_user([INST + "/sbin/" + prog, *args], env=env, data=good)
            ok(r.returncode not in (0, None) and r.returncode > 0 and not left(), "N-311: %s refuses %s" % (prog, name), r)
    for prog, args in (("postdrop", ["-c", "/tmp"]), ("postqueue", ["-c", "/tmp", "-p"]), ("postlog", ["-c", "/tmp", "x"])):
        r = as_user([INST + "/sbin/" + prog, *args], data=good)
        ok(r.returncode > 0 and not left(), "N-311: %s refuses -c of another directory" % prog, r)
    so = i.dir + "/evil.so"
    env = {"LD_PRELOAD": so, "LD_LIBRARY_PATH": i.dir, "PH_MODULE_PATH": i.dir, "PH_FAULT": "store.sync=EIO", "TZ": "/etc/shadow", "MALLOC_CHECK_": "3",
           "NLSPATH": "/etc/shadow", "MAIL_VERBOSE": "9", "PH_SYSLOG_SOCKET": i.dir + "/x", "PH_CLOCK_FILE": "/etc/shadow"}
    r = as_user(POSTDROP, data=good, env=env)
    ok(r.returncode == 0 and len(left()) == 1, "N-311: LD_*, TZ, MALLOC_*, PH_* change nothing", r)
    for f in left():
        os.unlink(MAILDROP + "/" + f)

    def close_all():
        for fd in (0, 1, 2):
            os.close(fd)
    import resource
    for name, before in (("closed descriptors", close_all), ("no room for files", lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))),
                         ("three descriptors", lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (3, 3))), ("umask 0", lambda: os.umask(0))):
        p = os.fork()
        if p == 0:
            try:
                before()
                os.setgid(USER.pw_gid)
                os.setuid(USER.pw_uid)
                os.execve(POSTDROP[0], POSTDROP, {"MAIL_CONFIG": i.etc})
            finally:
                os._exit(99)
        _, st = os.waitpid(p, 0)
        ok((os.WIFEXITED(st) and os.WEXITSTATUS(st) != 99 or os.WIFSIGNALED(st) and os.WTERMSIG(st) == signal.SIGXFSZ) and
           not [f for f in left() if not f.startswith(".")], "N-311: %s: a sane end" % name, (st, left()))
        for f in left():
            os.unlink(MAILDROP + "/" + f)
    src = i.dir + "/noargs.c"
    open(src, "w").write('#include <unistd.h>\nint main(int c, char **v) { char *none[] = { 0 }; execve(v[1], none, none); return 99; }\n')
    subprocess.run(["cc", "-o", i.dir + "/noargs", src], check=True, stderr=subprocess.DEVNULL)
    for prog in ("postdrop", "postqueue", "postlog"):
        r = as_user([i.dir + "/noargs", INST + "/sbin/" + prog])
        ok(r.returncode != 99 and r.returncode >= 0 and not left(), "N-311: %s without argv[0]: a sane end" % prog, r)
    r = as_user(["bash", "-c", "exec -a posthouse %s/sbin/postdrop master -c %s" % (INST, i.etc)])
    ok(b"queue_id" in r.stdout and b"daemon started" not in r.stderr, "N-311: a set-gid program is one command, whatever it is called", r)

    # ---- N-312: sendmail ----
    evil = {
        "a newline in -f": ["-f", "a@b\nBcc: c", "you@test.example"],
        "a newline in -F": ["-F", "x\r\nBcc: evil@x", "you@test.example"],
        "-oQ, -X, -oA": ["-oQ/tmp", "-X", i.dir + "/xlog", "-oA/etc/shadow", "you@test.example"],
        "a newline in a recipient": ["you@test.example\nX: y"],
    }
    for what, args in evil.items():
        r = as_user([INST + "/sbin/sendmail", *args], data=b"Subject: evil\n\nx\n")
        text = b"".join(open(MAILDROP + "/" + f, "rb").read() for f in left())
        ok(b"\nBcc" not in text and b"\nX: y" not in text and not os.path.exists(i.dir + "/xlog"), "N-312: %s" % what, (r, text))
        for f in left():
            os.unlink(MAILDROP + "/" + f)
    many = b"To: " + b",\n ".join(b"r%d@test.example" % k for k in range(100000)) + b"\nSubject: many\n\nx\n"
    r = as_user([INST + "/sbin/sendmail", "-t"], data=many)
    ok(r.returncode in (0, 75), "N-312: -t with 100,000 recipients: taken or put off", r.stderr[:300])
    for f in left():
        os.unlink(MAILDROP + "/" + f)
    r = as_user([INST + "/sbin/sendmail", "-C", "/tmp", "you@test.example"], data=b"x\n")
    ok(r.returncode == 75 and not left(), "N-312: -C of another directory", r)

    # ---- N-313, N-314 ----
    games, daemon = pwd.getpwnam("games"), pwd.getpwnam("daemon")
    r = as_user([INST + "/sbin/sendmail", "you@test.example"], games.pw_uid, games.pw_gid, b"x\n")
    ok(r.returncode == 75 and b"is not allowed to submit mail" in r.stderr and not left(), "N-314: authorized_submit_users", r)
    r = as_user(POSTDROP, games.pw_uid, games.pw_gid, good)
    ok(r.returncode and b"is not allowed to submit mail" in r.stderr and not left(), "N-314: postdrop asks, too", r)
    r = as_user(POSTDROP, daemon.pw_uid, daemon.pw_gid, good)
    ok(r.returncode and b"not authorized to use sender='me@test.example'" in r.stderr and not left(), "N-313: a sender that the login may not use", r)
    r = as_user(POSTDROP, 54321, 54321, stream(rec(b"S", b"stranger@test.example"), R, C))
    ok(r.returncode == 0 and len(left()) == 1, "N-313: a user without an account is uid:number", r)
    r = as_user(POSTDROP, 54322, 54322, good)
    ok(r.returncode != 0 and len(left()) == 1, "N-313: another is nobody", r)
    for f in left():
        os.unlink(MAILDROP + "/" + f)

    # ---- N-315: links in maildrop ----
    secret = i.dir + "/secret"
    open(secret, "wb").write(good)
    os.symlink(secret, MAILDROP + "/AAAAAAAA")
    os.link(secret, MAILDROP + "/BBBBBBBB")
    os.mkfifo(MAILDROP + "/CCCCCCCC")
    open(MAILDROP + "/DDDDDDDD", "wb").write(good)
    os.chmod(MAILDROP + "/DDDDDDDD", 0o666)
    # ---- N-300: files that no postdrop has looked at ----
    crafted = {}
    for k, (what, data) in enumerate(bad.items()):
        crafted["%08X" % (0xE0000000 + k)] = what
        p = MAILDROP + "/%08X" % (0xE0000000 + k)
        open(p, "wb").write(data)
        os.chmod(p, 0o644)
        os.chown(p, USER.pw_uid, DROP.st_gid)
    was = os.listdir(i.dir + "/mail/box/new")
    i.command("postfix", "start", check=True)
    wait_for("maildrop to be read", lambda: not left() and "DDDDDDDD: bad" in i.log())
    for name, what in crafted.items():
        ok(i.logged(name), "N-300: set aside and told: a file with " + what, i.log()[-1500:])
    wait_for("an empty queue", i.queue_is_empty)
    ok(os.listdir(i.dir + "/mail/box/new") == was, "N-300: none of them becomes mail", i.log()[-3000:])
    ok("killed by signal" not in i.log(), "N-300: pickup lives", i.log()[-3000:])
    log = i.log()
    ok("AAAAAAAA: a symbolic link" in log and "BBBBBBBB: has several links" in log and "CCCCCCCC: not a regular file" in log and
       "DDDDDDDD: bad permissions" in log, "N-315: links and what others may write are set aside", log[-1500:])
    ok(open(secret, "rb").read() == good, "N-315: what they point to is as it was")

    # ---- N-320: rights of every process ----
    bad_ids = []
    owner = pwd.getpwnam(i.owner)
    for pid, name in i.processes().items():
        f = dict(l.split(":\t", 1) for l in open("/proc/%d/status" % pid).read().split("\n") if ":\t" in l)
        uids, gids, groups = set(f["Uid"].split()), set(f["Gid"].split()), set(f["Groups"].split())
        if name in ("posthouse", "master", "root-agent") and uids == {"0"}:
            continue
        if uids != {str(owner.pw_uid)} or gids != {str(owner.pw_gid)} or not groups <= {str(owner.pw_gid)}:
            bad_ids.append((pid, name, uids, gids, groups))
    ok(not bad_ids, "N-320: real, effective, saved and file-system ids and groups of each worker", bad_ids)


try:
    main()
finally:
    i.stop()
print("1..%d" % n)
