#!/usr/bin/env python3
"""The Debian package takes the place of a configured Postfix: in a copy of this machine, with apt, over the files of the real package.

The programs are those of this build (the package is packed, not compiled: build-aux/mkdeb does both; DEB=file tries a package that it has made).  What must hold: the old main.cf, master.cf and
tables are used as they are, mail goes on, Postfix's package is gone and comes to no harm, and taking posthouse away again loses nothing."""
import os
import smtplib
import stat
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + "/lib")
import otherroot  # noqa: E402
from instance import Tap, wait_for  # noqa: E402

TOP = otherroot.TOP
MAIN = """
myhostname = other.test.example
mydestination = $myhostname, localhost
alias_maps = hash:/etc/aliases
alias_database = hash:/etc/aliases
virtual_alias_domains = virtual.example
virtual_alias_maps = hash:/etc/postfix/virtual
mynetworks = 127.0.0.0/8
smtpd_relay_restrictions = permit_mynetworks, reject_unauth_destination
smtpd_tls_security_level = none
smtp_tls_CApath = /etc/ssl/certs
mailbox_size_limit = 0
recipient_delimiter = +
inet_interfaces = loopback-only
inet_protocols = ipv4
maillog_file = /var/log/mail.log
"""
t = Tap()


def run(*argv, check=True):
    p = subprocess.run(argv, capture_output=True, text=True, env=dict(os.environ, PATH="/usr/sbin:/usr/bin:/sbin:/bin", DEBIAN_FRONTEND="noninteractive"))
    if check:
        t.ok(p.returncode == 0, " ".join(argv), p.stdout + p.stderr)
    return p


def write(path, text):
    with open(path, "w") as f:
        f.write(text)


def read(path):
    return open(path, errors="replace").read()


def send(to, subject):
    with smtplib.SMTP("127.0.0.1", 25, timeout=20) as s:
        s.sendmail("sender@other.test.example", [to], "Subject: %s\n\nx\n" % subject)


def arrives(user, text):
    box = "/var/mail/" + user
    try:
        return wait_for("mail", lambda: os.path.exists(box) and text in read(box))
    except TimeoutError:
        return False


def configured_postfix():
    """Postfix as Debian's package leaves it, with a site's settings: it works before."""
    write("/etc/postfix/main.cf", read("/usr/share/postfix/main.cf.debian") + MAIN)
    write("/etc/postfix/master.cf", read("/usr/share/postfix/master.cf.dist"))
    write("/etc/postfix/virtual", "sales@virtual.example anna\n")
    write("/etc/aliases", "postmaster: root\nroot: anna\noffice: anna\n")
    for f in ("/etc/mailname", "/var/log/mail.log"):
        write(f, "other.test.example\n" if f == "/etc/mailname" else "")
    subprocess.run(["useradd", "-m", "anna"], check=True)
    # The index of manual pages would take longer than all the rest.
    subprocess.run(["debconf-set-selections"], input="man-db man-db/auto-update boolean false\n", text=True, check=True)
    run("postmap", "/etc/postfix/virtual")
    run("newaliases")
    run("postfix", "start")
    send("sales@virtual.example", "by-postfix")
    t.ok(arrives("anna", "by-postfix"), "Postfix delivers", read("/var/log/mail.log"))


def package():
    if os.environ.get("DEB"):
        return os.environ["DEB"]
    p = subprocess.run([TOP + "/build-aux/mkdeb", "/tmp"], capture_output=True, text=True, env=dict(os.environ, DPKG_DEB_OPTIONS="-Znone"))
    t.ok(p.returncode == 0, "the package is packed", p.stdout + p.stderr)
    deb = ["/tmp/" + f for f in os.listdir("/tmp") if f.endswith(".deb")][0]
    info = run("dpkg-deb", "-f", deb).stdout
    t.ok("Depends: " in info and "libevent" in info and "libc6" in info, "its dependencies are those of programs and modules", info)
    otherroot.compiled_paths()
    return deb


def taken_over(deb, before):
    p = run("apt-get", "install", "-y", "--no-install-recommends", deb)
    said = p.stdout + p.stderr
    t.ok("holds mail of Postfix" not in said, "nothing is said about Postfix's queue, which is empty", said)
    t.ok("do NOT purge the package postfix" in said, "a warning of what purging Postfix would do", said)
    t.eq(files(), before, "main.cf, master.cf, the tables are as they were")
    state = run("dpkg-query", "-W", "-f=${Status}", "postfix", check=False).stdout
    t.ok(state == "deinstall ok config-files", "Postfix's package is removed, its configuration is not", state)
    t.eq(read("/etc/postfix/virtual"), "sales@virtual.example anna\n", "a table's source, too")


def files():
    return {f: open("/etc/" + f, "rb").read() for f in ("postfix/main.cf", "postfix/master.cf", "postfix/virtual.db", "aliases", "aliases.db")}


def works():
    p = run("postfix", "check")
    # Debian's master.cf has agents for programs that nobody installed.
    t.eq([l for l in p.stderr.split("\n") if l and "unknown username" not in l], [], "postfix check finds nothing else")
    for f in ("postdrop", "postqueue"):
        s = os.stat("/usr/sbin/" + f)
        t.ok(stat.S_IMODE(s.st_mode) == 0o2755 and s.st_gid == __import__("grp").getgrnam("postdrop").gr_gid, f + " is set-gid postdrop", oct(s.st_mode))
    run("postfix", "start")
    send("sales@virtual.example", "by-smtp")
    t.ok(arrives("anna", "by-smtp"), "a client's mail, by a table that Postfix's postmap made", read("/var/log/mail.log"))
    subprocess.run(["runuser", "-u", "nobody", "--", "/usr/lib/sendmail", "office+x"], input="Subject: by-sendmail\n\nx\n", text=True)
    t.ok(arrives("anna", "by-sendmail"), "a user's mail, by an alias that Postfix's newaliases made", read("/var/log/mail.log"))
    t.ok("queue is empty" in run("/usr/bin/mailq").stdout, "mailq")
    write("/etc/postfix/virtual", "sales@virtual.example anna\nmore@virtual.example anna\n")
    run("postmap", "/etc/postfix/virtual")
    send("more@virtual.example", "by-new-table")
    t.ok(arrives("anna", "by-new-table"), "the table is made anew by our postmap", read("/var/log/mail.log"))


def again_and_away(deb):
    run("dpkg", "-i", deb)
    t.ok(stat.S_IMODE(os.stat("/usr/sbin/postdrop").st_mode) == 0o2755, "installed over itself, set-gid programs stay so")
    run("dpkg", "--force-depends", "-r", "posthouse")
    t.ok(not os.path.exists("/var/spool/postfix/pid/master.pid") or not running(), "removing it stops it")
    t.ok(os.path.exists("/etc/postfix/main.cf") and os.path.isdir("/var/spool/postfix/incoming"), "configuration and queue stay")
    t.ok(not os.path.lexists("/etc/systemd/system/postfix.service"), "nothing is in the way of Postfix's own service")
    run("dpkg", "--force-depends", "-P", "posthouse")
    t.ok(os.path.exists("/etc/postfix/main.cf") and os.path.isdir("/var/spool/postfix/incoming"), "when it is purged, too")


def running():
    try:
        os.kill(int(read("/var/spool/postfix/pid/master.pid")), 0)
        return True
    except (OSError, ValueError):
        return False


if __name__ == "__main__":
    if not os.path.exists("/usr/lib/postfix/sbin/master"):
        otherroot.skip("no real Postfix")
    otherroot.enter()
    configured_postfix()
    before = files()
    deb_file = package()
    taken_over(deb_file, before)
    works()
    again_and_away(deb_file)
    sys.exit(t.done())
