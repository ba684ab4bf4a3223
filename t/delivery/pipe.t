#!/usr/bin/env python3
"""pipe.t: commands that get mail: rows N-272, N-273 and N-275 to N-278 of the catalogue of negative tests."""
import os
import pwd
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from instance import Client, Instance, Tap, wait_for                              # noqa: E402

ROOT = os.geteuid() == 0
USER = "games" if ROOT else pwd.getpwuid(os.geteuid()).pw_name
UNPRIV = "n"
BAD = {"root": "user=root argv=/bin/true", "owner": "user=daemon argv=/bin/true", "nosuch": "user=nosuch argv=/bin/true", "nouser": "argv=/bin/true",
       "noargv": "user=%s" % USER, "flag": "flags=Z user=%s argv=/bin/true" % USER, "size": "size=x user=%s argv=/bin/true" % USER,
       "attr": "colour=red user=%s argv=/bin/true" % USER, "rootgroup": "user=%s:root argv=/bin/true" % USER}
WORDS = {"root": "user= command-line attribute specifies root privileges", "owner": "user= command-line attribute specifies mail system owner daemon",
         "nosuch": "unknown username: nosuch", "nouser": "missing user= command-line attribute", "noargv": "missing argv= command-line attribute",
         "flag": "unknown flag: Z", "size": "bad size= value: x", "attr": "unknown attribute name: colour=red",
         "rootgroup": "user= command-line attribute specifies privileged group id 0"}
SCRIPT = r"""#!/bin/sh
case "$1" in
noread) exit 0;;
stop) kill -STOP $$;;
group) sh -c 'trap "" TERM; echo $$ > %(out)s/child; sleep 60' & wait;;
daemon) sleep 60 & echo $! > %(out)s/daemon; exit 0;;
flood) exec dd if=/dev/zero bs=1M count=1000 2>/dev/null;;
flood69) head -c 3000000 /dev/zero | tr '\0' x; exit 69;;
dsn) printf '4.2.1 later\r\n\033[31mred\n'; exit 69;;
env) cat > /dev/null; env > %(out)s/env; ls -l /proc/self/fd > %(out)s/fds; exit 0;;
args) shift; cat > /dev/null; for a; do printf '%%s\0' "$a"; done > %(out)s/args.new; mv %(out)s/args.new %(out)s/args;;
esac
"""
MASTER = "p unix - %s n - - pipe user=%s argv=@DIR@/cmd ${user}\n" % (UNPRIV, USER)
MASTER += "slow unix - %s n - - pipe user=%s argv=@DIR@/cmd ${user}\n" % (UNPRIV, USER)
MASTER += "args unix - %s n - - pipe flags=q user=%s argv=@DIR@/cmd args ${sender} x${user}x ${extension} ${recipient} -${client_helo}-\n" % (UNPRIV, USER)
MASTER += "".join("b%s unix - %s n - - pipe %s\n" % (k, UNPRIV, v) for k, v in BAD.items())
MAIN = """
transport_maps = inline:{p.test=p:, slow.test=slow:, args.test=args:, %s}
slow_time_limit = 1s
recipient_delimiter = +
p_destination_recipient_limit = 1
export_environment = TZ FOO=bar { BAZ = a b }
allow_min_user = yes
""" % ", ".join("%s.test=b%s:" % (k, k) for k in BAD)
tap = Tap()
inst = Instance(MAIN, MASTER, env={"LD_PRELOAD_X": "1", "BASH_FUNC_x%%": "() { :; }", "IFS": "x", "SECRET": "s"})
out = inst.dir + "/out"


def send(*rcpts, sender="s@x.example", helo="client.example", message="Subject: x\n\nbody\n"):
    c = Client(inst.port)
    r = c.send(sender, rcpts, message, helo=helo)
    c.s.close()
    if "queued as " not in r:
        raise AssertionError(r)
    return r.split()[-1]


def result(rcpt, qid):
    """The status of rcpt in the log."""
    line = wait_for("result of %s" % rcpt, lambda: [l for l in inst.log().split("\n") if qid in l and "to=<%s>" % rcpt in l and "status=" in l])[0]
    return line.split("dsn=")[1]


def status(name, domain="p.test"):
    rcpt = name + "@" + domain
    return result(rcpt, send(rcpt))


def bad_attributes():
    ids = {k: send("x@%s.test" % k) for k in BAD if ROOT or k != "owner"}
    for k, qid in ids.items():
        tap.ok(result("x@%s.test" % k, qid).startswith("4.3."), "N-273 %s: the mail waits" % k)
        tap.ok(inst.wait_log("b%s (pipe) cannot start: %s" % (k, WORDS[k])), "N-273 %s: the log says why" % k)
    p = inst.command("postfix", "check")
    said = p.stdout + p.stderr
    tap.ok(all("service b%s: %s" % (k, WORDS[k]) in said for k in ids), "N-273 and so does the check", said)


def arguments():
    cases = [('"a b;rm -rf+x y"@args.test', ['"s p`id`"@x.example', 'xa b;rm -rfx']),
             ("-oQ/tmp@args.test", ["-f@x.example", "x-oQ/tmpx"]), ('"u$(id)+`x`"@args.test', ["s@x.example", "xu$(id)x"])]
    for rcpt, want in cases:
        if os.path.exists(out + "/args"):
            os.unlink(out + "/args")
        sender = {'"a': '"s p`id`"@x.example', "-o": "-f@x.example"}.get(rcpt[:2], "s@x.example")
        send(rcpt, sender=sender, helo="a;b")
        got = wait_for("arguments", lambda: os.path.exists(out + "/args") and open(out + "/args").read()).split("\0")[:-1]
        tap.ok(len(got) == 5 and got[:2] == want and got[3] == rcpt and got[4] == "-a?b-", "N-272 each macro stays one argument: %s" % rcpt, got)
    os.unlink(out + "/args")
    send("plain@args.test", sender="")
    got = wait_for("arguments", lambda: os.path.exists(out + "/args") and open(out + "/args").read()).split("\0")[:-1]
    tap.eq(got, ["MAILER-DAEMON", "xplainx", "", "plain@args.test", "-client.example-"], "N-272 an empty value keeps its place")


def ends():
    big = "Subject: x\n\n" + ("y" * 70 + "\n") * 30000
    r = result("noread@p.test", send("noread@p.test", message=big))
    tap.ok(r.startswith("2.0.0, status=sent"), "N-277 a command that does not read is no failure of ours", r)
    ids = {n: send(n + "@slow.test") for n in ("stop", "group", "flood")}
    for n, qid in ids.items():
        r = result(n + "@slow.test", qid)
        if n == "flood":
            tap.ok(r.startswith("2.0.0, status=sent") or "time limit exceeded" in r, "N-278 a gigabyte of output is read and dropped", r[:200])
        else:
            tap.ok('5.3.0, status=bounced (Command time limit exceeded: "%s/cmd"' % inst.dir in r, "N-277 %s: killed at the time limit" % n, r)
    child = int(open(out + "/child").read())
    tap.ok(wait_for("end of the group", lambda: not alive(child)), "N-277 with its whole group")
    r = status("daemon")
    tap.ok(r.startswith("2.0.0, status=sent"), "N-277 a background process that holds the output holds nothing up", r)
    pid = int(open(out + "/daemon").read())
    tap.ok(alive(pid), "N-277 and lives")
    os.kill(pid, 9)
    r = status("flood69")
    tap.ok("service unavailable. Command output: xxxx" in r and len(r) < 5000, "N-278 bounded output in the reason", len(r))
    r = status("dsn")
    tap.ok(r.startswith("4.2.1, status=deferred (later_ _[31mred"), "N-278 a leading code counts, the rest is neutral", r)


def alive(pid):
    try:
        return open("/proc/%d/stat" % pid).read().rsplit(")", 1)[1].split()[0] not in "ZX"
    except OSError:
        return False


def inheritance():
    status("env")
    env = sorted(l for l in open(out + "/env").read().split("\n") if l and l.split("=")[0] not in ("_", "SHLVL", "PWD", "OLDPWD"))
    tap.eq(env, ["BAZ=a b", "FOO=bar", "PATH=/usr/bin:/bin", "TZ=UTC"], "N-275 only what export_environment lists")
    fds = [l.split(" -> ")[1] for l in open(out + "/fds").read().split("\n") if " -> " in l and "/proc/" not in l]
    tap.ok(len(fds) == 3 and all(f.startswith("pipe:") or f == out + "/fds" for f in fds), "N-276 three descriptors and no more", fds)


def main():
    os.mkdir(out)
    os.chmod(out, 0o777)
    with open(inst.dir + "/cmd", "w") as f:
        f.write(SCRIPT % {"out": out})
    os.chmod(inst.dir + "/cmd", 0o755)
    with inst:
        arguments()
        inheritance()
        ends()
        bad_attributes()
    return tap.done()


sys.exit(main())
