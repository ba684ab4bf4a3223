#!/usr/bin/env python3
"""Our postconf against a real one on the same files: what is shown, what is warned about, what an edit leaves behind.
Where we differ on purpose our own answer is written down below."""
import concurrent.futures
import os
import shlex
import shutil
import stat
import subprocess
import sys
import tempfile

PEER = os.environ.get("PEER_POSTCONF", "/usr/sbin/postconf")
OURS = os.environ.get("POSTCONF") or shutil.which("postconf")
MAIN = r"""# top comment
smtpd_recipient_restrictions = permit_mynetworks, check_sender_access hash:/etc/postfix/sender_access_table,
   reject_unauth_destination,
  # comment
	check_policy_service { inet:127.0.0.1:1234, timeout=10s, default_action=DUNNO, policy_context=a_longer_context }
relayhost = [${mydomain}]:25
empty =
unused = x
# in between
long = aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa bbbbbbbbbbbbbbbbbb cccccccccccccccc   ddddddddddddddd
canonical_maps = $long $empty $undef1
alias_maps =
virtual_maps = x

mydestination = first,
   second
# inside
   third
# tail
fallback_transport = x
"""
MASTER = r"""# top
smtp inet n - y - - smtpd
# between
submission inet n - n - - smtpd
  -o syslog_name=postfix/submission
# inner
  -o { smtpd_client_restrictions = permit_mynetworks, reject }
  -o smtpd_tls_security_level=encrypt -v
  -o smtpd_relay_restrictions=permit_sasl_authenticated,reject_some_thing_long_name,reject_another_very_long_name
  -o xy=$zz -o bb=$xy
dovecot unix - n n - - pipe
  flags=DRhu user=vmail:vmail argv=/usr/lib/deliver -d ${recipient}
a_very_long_service_name unix-dgram n  -       n       -       1       postlogd
127.0.0.1:10026 inet n - n - 2 smtpd -o smtpd_authorized_xforward_hosts=127.0.0.0/8
smtp unix - - n - - smtp -vv -o a=b -v -D -v -o c=d f g -o h=i
"""
CASES = r"""-n
-nf
-hn
-Hn
-nx
-M
-Mf
-Mf smtp
-M submission/inet
-M '*/inet'
-M nosuch
-Mx
-P
-Ph
-PH
-Px
-Pf
-P submission
-P submission/inet/syslog_name
-P '*/inet/syslog_name'
-P submission/inet/nosuch
-F
-F smtp
-Ff submission
-F submission/inet/chroot
-F '*/*/chroot'
-Fh smtp/inet/command
-FH smtp/inet
-F smtp/inet/nosuch
-Mh
-MH
-o relayhost=x relayhost
-x -o empty=yy canonical_maps
nosuchparam
nosuch queue_directory nosuch2
-d -n
-n relayhost queue_directory
-d relayhost empty
-C user
-C service
-C foo
-n -C builtin
-x relayhost myhostname
-o x
-d -o a=b
-p relayhost
-C user,builtin relayhost long
-M /
-F a/b/c/d
-P //
-M smtp/foo
-l
-e
-X
-e a
-M -e a=b
-T run-version
-d myhostname mydomain mynetworks smtpd_relay_restrictions
-o mynetworks_style=host mynetworks
-o mynetworks_style=class mynetworks
-o inet_interfaces=loopback-only mynetworks
-o inet_interfaces=127.0.0.1 -o inet_protocols=ipv4 mynetworks
-b
-e 'relayhost = [b]' new2=
relayhost=x
-e 'mydestination = one   two'
-# relayhost mydestination
-# nosuch
-X relayhost mydestination
-X nosuch
-e 'a b=c'
-e '=c'
-e 'a={b c}'
-e 'a='
-X a=b
-e '#a=b'
-X '#a'
-Me 'smtp/inet=smtp inet n - n - 5 smtpd -v -o a=b -o { c = d e }'
-Me 'new/unix=new unix - - n - 0 smtp -v'
-Me 'new/unix=foo unix - - n - 0 smtp -v'
-M 'new/unix=new unix - - n - 0 smtp -v'
-Me 'new=new unix - - n - 0 smtp'
-M# submission/inet
-M# nosuch/inet
-MX submission/inet
-MX submission
-MX '*/inet'
-MX submission/inet smtp/inet
-Fe submission/inet/chroot=n
-F 'submission/inet/command=smtpd -v'
-F 'submission/inet/foo=x'
-F 'nosuch/inet/chroot=n'
-F 'submission/inet/service=587'
-Fe 'submission/inet=x'
-Fe 'submission/inet/chroot=y' submission/inet/private=-
-Pe submission/inet/smtpd_helo_required=yes
-P submission/inet/syslog_name=foo
-PX submission/inet/syslog_name
-PX submission/inet/nosuch
-PX submission/inet/smtpd_client_restrictions submission/inet/syslog_name
-P 'nosuch/inet/a=b'
-nH
-h relayhost empty long
-H relayhost empty
-x mydestination
-xh canonical_maps
-xn
-nC user
-nC service
-nC user,service
-C all relayhost
-pn
-#
-M#
-MX
-F -e
-P -e
-PX
-Fe x
-Fe smtp/inet
-Fe smtp/inet/chroot
-Pe smtp/inet
-Pe smtp/inet/x
-Me x
-Me smtp/inet
-M smtp/inet/x
-MX smtp/inet/x
-Me '=x'
-Me 'x/inet=x inet - - n - - smtpd -o { a = b } -o {c=d}   -v'
-Me 'x/unix=x unix - - n - - pipe flags=DR user=nobody argv=/bin/cat ${sender} { a b }'
-Me 'smtp/inet=smtp inet n - n - - smtpd' 'smtp/unix=smtp unix - - n - - smtp'
-Fe '*/inet/maxproc=7'
-Fe 'smtp/inet/maxproc=x'
-Fe 'smtp/inet/name=26'
-F '*/*/process_limit'
-F smtp/inet/wakeup
-F smtp/inet/*
-FH
-Fx smtp
-Pe 'submission/inet/syslog_name='
-Pe 'smtp/unix/a=new'
-PX smtp/unix/a smtp/unix/h
-P '*/*/xy'
-Px 'submission/inet/xy'
-Pxh
-P smtp/inet
-P smtp/unix
-Pf submission
-PC user
-e 'relayhost=a' 'relayhost=b'
-e 'relayhost' 
-e 'unused=1' 'unused2=2' 'empty=3'
-e 'long= a b '
-e 'new=one,  two,	three'
-e 'mydestination='
-X unused nosuch empty
-X mydestination
-# canonical_maps long
-e '  spaced  =  v  '
-e 'relayhost = ${mydomain'
-e 'a$b=c'
-e 'a-b=c'
-e '1a=c'
-o relayhost=$myhostname -x relayhost
-o 'a=b' -n a
-o nosuch=1 nosuch
-o empty= -h empty
-x -o mydomain=d.test relayhost
-nf relayhost
-a
-A
-c /nonexistent -n
-P nosuch
-F nosuch
-n nosuch
-hH
-MF
-ex
-t
"""
n = 0
bad = 0


def ok(cond, name, detail=""):
    global n, bad
    n += 1
    print("%sok %d - %s" % ("" if cond else "not ", n, name))
    if not cond:
        bad = 1
        print("".join("# %s\n" % l for l in detail.split("\n")), end="")


def call(program, cwd, args):
    return subprocess.run(["postconf", "-c", ".", *args], executable=program, cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          text=True, errors="replace")


def one(program, args):
    """What it prints, warns, leaves behind."""
    d = tempfile.mkdtemp(dir=D)
    for name, text in (("main.cf", MAIN), ("master.cf", MASTER)):
        with open(d + "/" + name, "w") as f:
            f.write(text)
    r = call(program, d, args)
    out = [r.stdout, "status %d" % r.returncode, *sorted(set(r.stderr.split("\n")))]
    for name in ("main.cf", "master.cf"):
        out.append(open(d + "/" + name).read())
    return "\n".join(out + sorted(os.listdir(d)))


def both(args):
    return one(PEER, args), one(OURS, args)


def diff(a, b):
    open(D + "/a", "w").write(a)
    open(D + "/b", "w").write(b)
    return subprocess.run(["diff", D + "/a", D + "/b"], capture_output=True, text=True).stdout


def compare():
    cases = [shlex.split(l, comments=False) for l in CASES.strip().split("\n")]
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        for args, (peer, ours) in zip(cases, pool.map(both, cases)):
            ok(peer == ours, "postconf " + " ".join(args).replace("#", "\\#"), "" if peer == ours else diff(peer, ours))


def answers(want, *args):
    r = call(OURS, D + "/one", args)
    got = (r.stdout + r.stderr).rstrip("\n")
    ok(got == want, "postconf %s: %s" % (" ".join(args), want), "got  %s\nwant %s" % (got, want))


def read(name):
    return open(D + "/one/" + name).read()


def write(name, text):
    with open(D + "/one/" + name, "w") as f:
        f.write(text)


def ours_alone():
    one_dir = D + "/one"
    os.mkdir(one_dir)
    write("main.cf", 'x = a"b\nrelayhost = $x')
    write("master.cf", "smtp inet n - n - - smtpd { a b } c\n# note\nqmgr unix n - n - 1 qmgr\n")
    answers('{"relayhost": "$x"}', "-j", "relayhost")
    answers('{"relayhost": "a\\"b"}', "-jx", "relayhost")
    answers("smtp       inet  n       -       n       -       -       smtpd {a b} c", "-M", "smtp")
    answers("", "-Fe", "smtp/inet/chroot=y")
    answers("", "-e", "y=1")
    ok(read("master.cf").split("\n")[1] == "# note", "a comment stays in front of what it belongs to", read("master.cf"))
    ok(read("main.cf").endswith("relayhost = $x\ny = 1\n"), "a missing newline is added", read("main.cf"))
    answers('postconf: fatal: master.cf, line 1: bad chroot field "x": expected y, n or -', "-Fe", "smtp/inet/chroot=x")
    ok(sorted(os.listdir(one_dir)) == ["main.cf", "master.cf"], "nothing is left behind", str(os.listdir(one_dir)))
    os.chmod(one_dir + "/main.cf", 0o640)
    os.mkdir(one_dir + "/real")
    os.rename(one_dir + "/main.cf", one_dir + "/real/main.cf")
    os.symlink("real/main.cf", one_dir + "/main.cf")
    call(OURS, one_dir, ["-e", "z=2"])
    ok(os.path.islink(one_dir + "/main.cf") and stat.S_IMODE(os.stat(one_dir + "/real/main.cf").st_mode) == 0o640 and "\nz = 2\n" in read("main.cf"),
       "a symbolic link and the mode are kept", read("main.cf"))
    editors = [subprocess.Popen(["postconf", "-c", ".", "-e", "p%d=%d" % (k, k)], executable=OURS, cwd=one_dir) for k in range(8)]
    ok([e.wait() for e in editors] == [0] * 8 and all("\np%d = %d\n" % (k, k) in read("main.cf") for k in range(8)),
       "eight editors at once lose nothing", read("main.cf"))
    write("real/main.cf", "a = 1\nb\n")
    answers("postconf: fatal: ./main.cf, line 2: there is no '=' behind the name; write \"name = value\": \"b\"", "-n")
    os.unlink(one_dir + "/main.cf")
    answers("postconf: fatal: open ./main.cf: No such file or directory", "-n")


if not os.access(PEER, os.X_OK) or subprocess.run([PEER, "-dh", "mail_name"], capture_output=True, text=True).stdout.strip() != "Postfix":
    print("1..0 # skip no real postconf")
    sys.exit(0)
# In memory: both programs sync what they have edited.
D = tempfile.mkdtemp(dir="/dev/shm" if os.access("/dev/shm", os.W_OK) else None)
try:
    compare()
    ours_alone()
finally:
    shutil.rmtree(D)
print("1..%d" % n)
sys.exit(bad)
