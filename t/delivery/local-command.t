#!/usr/bin/env python3
"""local-command.t: commands of aliases: rows N-274 and N-280 of the catalogue of negative tests."""
import glob
import os
import re
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from instance import TOP, Client, Instance, Tap, wait_for                         # noqa: E402

ALLOWED = set("1234567890!@%-_=+:,./abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")
NASTY = ["$(touch${IFS}x)", "`id`", "a;b", "a|b", "a&b", "x>y", "() { :; }; echo", "a\\b", "a'b", "*?[a]", "~root", "#c"]
tap = Tap()
inst = Instance("mydestination = here.test\nrecipient_delimiter = +\nsmtpd_helo_required = no\n"
                "alias_maps = inline:{{who=\"|@DIR@/cmd one two\"}, {shell=\"|@DIR@/cmd; true\"}}\n", "local unix - n n - - local\n")
out = inst.dir + "/out"
SCRIPT = "#!/bin/sh\ncat > /dev/null\nenv > %(o)s/new\ncat /proc/$PPID/comm >> %(o)s/new\nmv %(o)s/new %(o)s/env\n" % {"o": out}


def run(rcpt, sender="s@x.example", helo="client.example"):
    if os.path.exists(out + "/env"):
        os.unlink(out + "/env")
    c = Client(inst.port)
    r = c.send(sender, [rcpt], "Subject: x\n\nx\n", helo=helo)
    c.s.close()
    if not r.startswith("250"):
        return None
    return wait_for("the command", lambda: os.path.exists(out + "/env") and open(out + "/env").read())


def quote(local):
    return '"%s"' % local.replace("\\", "\\\\")


def main():
    os.mkdir(out)
    os.chmod(out, 0o777)
    with open(inst.dir + "/cmd", "w") as f:
        f.write(SCRIPT)
    os.chmod(inst.dir + "/cmd", 0o755)
    with inst:
        for n in NASTY:
            text = run(quote("who+" + n) + "@here.test", sender=quote(n) + "@x.example", helo=n.replace(" ", "") if n.isprintable() else "x")
            if not tap.ok(text is not None, "N-274 mail with %r is taken" % n):
                continue
            env = dict(l.split("=", 1) for l in text.split("\n") if re.match(r"[A-Z_]+=", l))
            bad = {k: v for k, v in env.items() if k in ("EXTENSION", "RECIPIENT", "ORIGINAL_RECIPIENT", "SENDER", "LOCAL", "DOMAIN", "USER", "CLIENT_HELO",
                                                         "CLIENT_HOSTNAME") and not set(v) <= ALLOWED}
            tap.ok(not bad and env.get("EXTENSION") == "".join(ch if ch in ALLOWED else "_" for ch in n).lower(), "N-274 nothing that a shell could take for its own: %r" % n, env)
        tap.ok(text and text.split("\n")[-2] != "sh", "N-274 plain words run without a shell", text)
        text = run("shell@here.test")
        tap.ok(text and text.split("\n")[-2] == "sh", "and others with one", text)
    for f in glob.glob(TOP + "/etc/*") + glob.glob(TOP + "/doc/examples/**/*", recursive=True) + glob.glob(TOP + "/doc/*.md"):
        if not os.path.isfile(f):
            continue
        text = open(f, errors="replace").read()
        shell = [l for l in text.split("\n") if re.search(r"sh\s+-c\b.*\$\{?\(?(recipient|sender|user|extension|mailbox|domain|original_recipient|EXTENSION|RECIPIENT|SENDER|LOCAL)\b", l)]
        if not tap.ok(not shell, "N-280 no shell text from message data in %s" % os.path.relpath(f, TOP), shell):
            break
    return tap.done()


sys.exit(main())
