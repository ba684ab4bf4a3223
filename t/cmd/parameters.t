#!/usr/bin/env python3
"""Each parameter of Postfix is known: postconf -d shows it, and it works here, or doc/differences.md says why not and setting it is warned about."""
import os
import re
import subprocess
import sys
import tempfile

TOP = os.environ.get("TOP") or os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
INST = os.environ.get("INST", TOP + "/build/inst")
n = 0


def ok(cond, name, detail=""):
    global n
    n += 1
    print("%sok %d - %s" % ("" if cond else "not ", n, name))
    if not cond:
        print("# " + str(detail).replace("\n", "\n# ")[:3000])


def run(*argv):
    return subprocess.run(argv, capture_output=True, text=True, env=dict(os.environ, LC_ALL="C"))


tmp = tempfile.mkdtemp(dir=os.environ.get("TEST_TMP", "/var/tmp"))
open(tmp + "/main.cf", "w").write("compatibility_level = 3.6\n")
open(tmp + "/master.cf", "w").write(open(TOP + "/etc/master.cf").read())
os.environ["MAIL_CONFIG"] = tmp
state = dict(l.split("\t") for l in run(INST + "/sbin/posthouse", "parameters").stdout.split("\n") if l)
table = [l.split("\t")[0] for l in open(TOP + "/t/cmd/postfix-parameters").read().split("\n") if l and l[0] != "#"]
shown = set(re.findall(r"^(\S+) =", run(INST + "/sbin/postconf", "-c", tmp, "-d").stdout, re.M))
doc = open(TOP + "/doc/differences.md").read()
part = doc.split("<!-- parameters: begin")[1].split("<!-- parameters: end")[0]
listed = set(re.findall(r"`([a-zA-Z0-9_]+)`", part.split("-->", 1)[1]))
# Names of services that the sample has not; and a function's.
templates = re.compile(r"^transport_|^domain_to_ascii$|_(destination_|delivery_slot|minimum_delivery_slots|recipient_|extra_recipient|initial_destination|transport_rate|time_limit)")

missing = [p for p in table if p not in state and p not in shown and not templates.search(p)]
ok(len(table) > 900 and not missing, "every name of the table is known to the program", missing)
hidden = [p for p, s in state.items() if s not in ("obsolete", "ours") and p not in shown]
ok(not hidden, "postconf -d shows every name", hidden)
without = {p for p, s in state.items() if s in ("unsupported", "refused")}
ok(not without - listed, "doc/differences.md lists what is not supported (run build-aux/mkunsupported)", sorted(without - listed))
ok(not listed - without, "doc/differences.md lists nothing that is supported (run build-aux/mkunsupported)", sorted(listed - without))
# What the program reads by name has an effect: it has to be declared, or every start warns about it.  (Not: lists of names in the check and the sandbox.)
sources = [os.path.join(d, f) for top in ("core", "modules", "cmd") for d, _, fs in os.walk(TOP + "/" + top) for f in fs
           if f.endswith((".c", ".h")) and f not in ("check.c", "known.c", "sandbox.c")]
read = {w for f in sources for w in re.findall(r'"([a-z0-9_]+)"', open(f, errors="replace").read())}
ok(len(sources) > 300 and not without & read, "nothing that the program reads is said to have no effect", (len(sources), sorted(without & read)))
ok(all(re.search(r"\| [^|]{10,} \| (warns|stops the start) \|$", l) for l in part.strip().split("\n")[3:-1] if l.startswith("|")), "each with a reason")

# Setting one is warned about, with file and line; what guards something stops the start.
names = sorted(without)
lines = ["compatibility_level = 3.6"] + ["%s = conspicuous%d" % (p, k) for k, p in enumerate(names)]
open(tmp + "/main.cf", "w").write("\n".join(lines) + "\n")
out = run(INST + "/sbin/posthouse", "check", "-c", tmp)
text = out.stdout + out.stderr
silent = [p for p in names if not re.search(r"main.cf, line %d: parameter %s is not supported" % (names.index(p) + 2, p), text)]
ok(not silent, "the check names each one that is set, with file and line", "\n".join(silent[:20]) + "\n" + text[:1500])
wrong = [p for p in names if (("error: " in next((l for l in text.split("\n") if "parameter %s is" % p in l), "")) != (state[p] == "refused"))]
ok(not wrong, "what guards something is an error, the rest a warning", wrong)
ok(out.returncode != 0, "and stops the start")
for f in os.listdir(tmp):
    os.unlink(tmp + "/" + f)
os.rmdir(tmp)
print("1..%d" % n)
