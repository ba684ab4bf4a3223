#!/usr/bin/env python3
"""The example modules at work in a running router: each kind decides or does what it is there for."""
import base64
import os
import subprocess
import sys

TOP = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
sys.path.insert(0, os.path.join(TOP, "t", "lib"))
from instance import Client, INST, Instance, Tap, wait_for              # noqa: E402

MAIN = """
mydestination = example.test
local_transport = archive:
appendfile_path = @DIR@/data/box
helo_prefix_list = dyn- dsl-
smtpd_helo_required = yes
smtpd_helo_restrictions = reject_helo_prefix
smtpd_sender_restrictions = check_sender_access pipemap:{weekday:{sun mon tue wed thu fri sat}, inline:{{yes = 450 4.7.1 closed today}}}
smtpd_filters = add_header_note:X-Lines
smtpd_sasl_auth_enable = yes
smtpd_sasl_type = oneuser
smtpd_sasl_security_options = noanonymous
oneuser_name = joe
oneuser_password = secret
smtpd_recipient_restrictions = permit_sasl_authenticated, reject
smtpd_relay_restrictions = permit_sasl_authenticated, reject_unauth_destination
"""
MASTER = "archive unix - n n - 1 appendfile\n"


def b64(s):
    return base64.b64encode(s.encode()).decode()


t = Tap()
if not os.access(INST + "/sbin/posthouse", os.X_OK):
    print("1..0 # SKIP posthouse is not installed in %s" % INST)
    sys.exit(0)
inst = Instance(MAIN, MASTER)
mods = inst.dir + "/modules"
os.mkdir(mods)
for kind in ("lookup", "restriction", "filter", "delivery", "sasl"):
    folder = os.path.join(TOP, "doc", "examples", kind)
    name = [f[:-2] for f in os.listdir(folder) if f.endswith(".c")][0]
    subprocess.run(["cc", "-std=gnu11", "-shared", "-fPIC", "-I" + INST + "/include", "-o", "%s/%s_%s.so" % (mods, kind, name),
                    "%s/%s.c" % (folder, name), "-L" + INST + "/lib", "-lposthouse", "-Wl,-z,now", "-Wl,-rpath," + INST + "/lib"], check=True)
inst.env["PH_MODULE_PATH"] = mods
inst.write("main.cf", open(inst.etc + "/main.cf").read().replace("pipemap:{weekday:{sun mon tue wed thu fri sat}, ", "pipemap:{weekday:{}, "))
r = inst.command("postfix", "check")
t.ok(r.returncode == 0 and not any("restriction_" in l or "refused" in l for l in r.stderr.split("\n")), "postfix check has no complaint", r.stderr)
with inst:
    c = Client(inst.port)
    c.cmd("EHLO dyn-1.example")
    c.cmd("MAIL FROM:<a@example.test>")
    r = c.cmd("RCPT TO:<box@example.test>")
    t.ok(r.startswith("550 5.7.1 <dyn-1.example>: Helo command rejected"), "restriction: refused by its HELO name", r)
    c.quit()

    c = Client(inst.port)
    r = c.cmd("EHLO ok.example")
    t.ok("AUTH PLAIN LOGIN" in r, "sasl: the mechanisms are offered", r)
    t.ok(c.cmd("AUTH PLAIN " + b64("\0joe\0wrong")).startswith("535"), "sasl: a wrong password", c.transcript)
    t.ok(c.cmd("AUTH PLAIN " + b64("junk")).startswith("501"), "sasl: a malformed response", c.transcript)
    t.ok(c.cmd("AUTH LOGIN").startswith("334") and c.cmd(b64("joe")).startswith("334") and c.cmd(b64("secret")).startswith("235"),
         "sasl: LOGIN", c.transcript)
    r = c.send("a@example.test", ["box@example.test"], "Subject: x\n\nFrom here\nline two\n")
    t.ok(r.startswith("250 2.0.0 Ok"), "the message is taken", c.transcript)
    c.quit()
    box = wait_for("the box", lambda: os.path.exists(inst.dir + "/data/box") and open(inst.dir + "/data/box").read())
    inst.wait_log("status=sent (appended to")
    t.ok(box.startswith("From a@example.test ") and "\n>From here\nline two\n\n" in box, "delivery: appended to the box", box)
    t.ok("\nX-Lines: 2\n" in box, "filter: the header is there", box)

    c = Client(inst.port)
    c.cmd("EHLO ok.example")
    c.cmd("AUTH PLAIN " + b64("\0joe\0secret"))
    r = c.send("a@example.test", ["box@example.test"], "X-Lines: 99\nSubject: y\n\na\n")
    c.quit()
    box = wait_for("the second message", lambda: "Subject: y" in open(inst.dir + "/data/box").read() and open(inst.dir + "/data/box").read())
    t.ok("X-Lines: 99\n" in box and "X-Lines: 1\n" not in box, "filter: the sender's own header stays", box)

    # Another table, taken up by a reload.
    inst.write("main.cf", open(inst.etc + "/main.cf").read().replace("pipemap:{weekday:{}, ", "pipemap:{weekday:{sun mon tue wed thu fri sat}, "))
    inst.command("postfix", "reload", check=True)

    def refused():
        c = Client(inst.port)
        c.cmd("EHLO ok.example")
        c.cmd("MAIL FROM:<a@example.test>")
        r = c.cmd("RCPT TO:<box@example.test>")
        c.quit()
        return r if r.startswith("450") else None
    r = wait_for("the new configuration", refused)
    t.ok("closed today" in r, "lookup: the table of days refuses", r)
sys.exit(t.done())
