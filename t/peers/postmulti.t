#!/usr/bin/env python3
"""postmulti and postfix beside Postfix's: the same commands in two copies of this machine, with Debian's programs and with ours.
Compared: what is printed, the exit status, the log, and main.cf of what was made."""
import difflib
import json
import os
import re
import shutil
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + "/lib")
import otherroot  # noqa: E402
from instance import Tap  # noqa: E402

# @E@: the folder of configuration directories.  A command behind "tty " has a terminal.
COMMANDS = r"""
postmulti -l
postmulti
postmulti -l -p
postmulti -x
postmulti -z
postmulti -e create -I postfix-a -G grp
postmulti -e init
postmulti -e create -I foo
postmulti -e create -I -
postmulti -e create -I postfix-b/c
postmulti -e create -I 'postfix-b c'
postmulti -e create -I postfix-c -G 'a b'
postmulti -e create
postmulti -e create -I postfix-a -G grp
postmulti -l
postmulti -i postfix-a -x postconf -n
stat -c '%A %U' @E@/postfix-a @E@/postfix-a/main.cf /var/spool/postfix-a /var/lib/postfix-a /var/spool/postfix-a/maildrop /var/spool/postfix-a/public
postmulti -i postfix-a -x sh -c 'env | grep -E "multi|^(config|queue|data)_directory|MAIL_CONFIG" | sort'
postmulti -e create -I postfix-a
postmulti -e create -I postfix-b queue_directory=/var/spool/postfix-a
postmulti -e create config_directory=@E@/pf-c -G grp
postmulti -e create -I postfix-d foo=bar
postmulti -e create -I postfix-d config_directory=rel
postmulti -p check
postmulti -p status
postmulti -p start-fg
postmulti -i postfix-a -p start
postmulti -i postfix-a -p stop
postmulti -e enable -i postfix-a
postmulti -l -i postfix-a
postmulti -l -g grp
postmulti -l -i -
postmulti -l -i nosuch
postmulti -l -R
postmulti -g nosuch -p status
postmulti -p start
postmulti -p start
postmulti -e destroy -i postfix-a
postmulti -e deport -i postfix-a
postmulti -p reload
tty postfix status
postmulti -e disable -i postfix-a
postmulti -e destroy -i postfix-a
postmulti -e deport -i postfix-a
postmulti -i postfix-a -p stop
postmulti -e enable -i postfix-a
postfix stop
postmulti -e disable -i postfix-a
postmulti -g grp -x postconf -h multi_instance_name
postmulti -e assign -i postfix-a -G other
postmulti -e assign -i postfix-a -I postfix-z
postmulti -e assign -i @E@/postfix-a -I postfix-a
postmulti -e destroy -i postfix-z
postmulti -e deport -i postfix-a
postmulti -l
postmulti -e import config_directory=@E@/postfix-a
postmulti -e import -I postfix-a config_directory=@E@/postfix-a
mkdir @E@/pf-x; cp @E@/postfix-a/m*.cf @E@/pf-x; postmulti -e import config_directory=@E@/pf-x
postmulti -l
postmulti -e destroy -i -
postmulti -e bogus -i -
postmulti -e enable
postmulti -e enable -i nosuch
postmulti -x -i nosuch true
postmulti -e assign -i - -I postfix-prim -G pg
postmulti -e disable -i -
postmulti -l
postmulti -e enable -i -
postmulti -e init
postfix bogus
tty postfix stop
tty postmulti -e bogus
tty postfix start
tty postfix start
tty postfix abort
postmulti -i - -x /nonexistent
postmulti -i - -x sh -c 'exit 3'
grep multi @E@/postfix/main.cf | sort
MAIL_CONFIG=@E@/pf-x postmulti -l
"""
# What one says and the other not: a pipe service for which there is no user, the state at the time of a removal, a refusal of start-fg once or for each
# instance; and what the master says when it comes to it.
APART = (r"unknown username|postfix-script\[N\]: the Postfix mail system is (not )?running|start-fg does not support|multi_instance_directories = |"
         r"postfix-script\[N\]: starting the|/master\[N\]: ")


def prepare(side):
    if side == "ours":
        otherroot.install()
    etc = (otherroot.INST + "/etc") if side == "ours" else "/etc"
    with open("/etc/postfix/main.cf.proto", "w") as f:
        f.write("# a comment that stays\ncompatibility_level = 3.6\ndata_directory = /var/lib/postfix\nsetgid_group =\nmaillog_file = /var/log/mail.log\nbiff = no\n")
    with open("/etc/postfix/main.cf", "w") as f:
        f.write("compatibility_level = 3.6\nmyhostname = other.test.example\nmaillog_file = /var/log/mail.log\ninet_protocols = ipv4\n")
    shutil.copy("/usr/share/postfix/master.cf.dist", "/etc/postfix/master.cf")
    shutil.copy("/usr/share/postfix/master.cf.dist", "/etc/postfix/master.cf.proto")
    return etc


def normal(text, etc):
    text = text.replace(etc + "/", "/etc/").replace(otherroot.INST, "")
    text = re.sub(r"postfix\S*/postmulti-script", "postmulti", text)
    text = re.sub(r"version \S+,", "version V,", re.sub(r"PID: \d+|pid \d+", "PID N", re.sub(r"\[\d+\]", "[N]", text)))
    return [l.rstrip() for l in text.replace("\r", "").split("\n") if l.strip()]


def in_there(side):
    etc, log, out = prepare(side), "/var/log/mail.log", []
    for line in COMMANDS.strip().split("\n"):
        open(log, "w").close()
        words = line.replace("@E@", etc)
        argv = ["script", "-qec", words[4:], "/dev/null"] if words.startswith("tty ") else ["sh", "-c", words]
        p = subprocess.run(argv, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=60, env=dict(os.environ, PATH="/usr/sbin:/usr/bin:/sbin:/bin"))
        logged = [re.sub(r"^.{15} \S+ ", "", l) for l in normal(open(log).read(), etc)] if os.path.exists(log) else []
        out.append([line, p.returncode, normal(p.stdout, etc), normal(p.stderr, etc), logged])
    print(json.dumps(out))


def both():
    """What each side did: two machines at the same time."""
    runs = {s: subprocess.Popen([sys.executable, os.path.abspath(sys.argv[0])], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=dict(os.environ, SIDE=s))
            for s in ("postfix", "ours")}
    said = {s: p.communicate(timeout=150) for s, p in runs.items()}
    return {s: json.loads(out) if out else sys.exit(err) for s, (out, err) in said.items()}


def without(lines, pattern):
    return [l for l in lines if not re.search(pattern, l)]


def compare(t, theirs, ours):
    for (line, *a), (_, *b) in zip(theirs, ours):
        # Our fatal messages are on stderr without a terminal, too; the master of either writes when it likes.
        a_text = ["exit %d" % a[0], *without(a[1] + a[3], APART)]
        b_text = ["exit %d" % b[0], *without(b[1] + b[3], APART)]
        diff = "\n".join(difflib.unified_diff(a_text, b_text, "postfix", "ours", lineterm="", n=9))
        t.ok(not diff, line, diff + "\nstderr %s\nours %s" % (a[2], b[2]))
        if not line.startswith("tty") and b[0] == 0 and "check" not in line:
            t.ok(not without(b[2], APART), "... and nothing on stderr", b[2])


if __name__ == "__main__":
    if os.environ.get("SIDE"):
        otherroot.enter()
        in_there(os.environ["SIDE"])
        sys.exit(0)
    if os.geteuid() != 0 or not os.path.exists("/usr/lib/postfix/sbin/master"):
        otherroot.skip("needs root and a real Postfix")
    t = Tap()
    done = both()
    compare(t, done["postfix"], done["ours"])
    sys.exit(t.done())
