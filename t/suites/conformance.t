#!/usr/bin/env python3
"""conformance.t: run the differential bench (Debian's Postfix against us) as one TAP test per case.

The bench and its cases live beside the source tree in ../shared/conformance, or where CONFORMANCE says; cases of our own in
t/conformance/cases.  A case named in t/conformance/not-yet (name, tab, reason) is run too and reported as TODO: when it becomes equal,
its line has to go.  CASES limits the run to these areas or cases.

Both sets are linked into one tree, so that all cases come out of one pool: what waits long for something starts first (the bench goes
through its tree by name), what is known to differ runs aside, once."""
import concurrent.futures
import json
import os
import shutil
import subprocess
import sys
import tempfile

TOP = os.environ.get("TOP") or os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
INST = os.environ.get("INST", TOP + "/build/inst")
BENCH = os.environ.get("CONFORMANCE", TOP + "/../shared/conformance")
SETS = {"s": BENCH + "/cases", "o": TOP + "/t/conformance/cases"}


def listed(name):
    """Lines of t/conformance/NAME: first word, rest."""
    out = {}
    for line in open(TOP + "/t/conformance/" + name):
        if line.strip() and not line.startswith("#"):
            case, _, why = line.rstrip("\n").partition("\t")
            out[case.strip()] = why.strip()
    return out


def names(cases):
    only = os.environ.get("CASES", "").split()
    found = sorted(os.path.relpath(os.path.join(d, f), cases)[:-5] for d, _, fs in os.walk(cases) for f in fs if f.endswith(".case"))
    return [c for c in found if not only or any(c == o or c.startswith(o + "/") for o in only)]


def link(tree, origin, case, late):
    """One case in the tree of a run: 0s/area/name or 1o/area/name; the digit is its turn, the letter its set."""
    to = "%s/%d%s/%s.case" % (tree, late, origin, case)
    os.makedirs(os.path.dirname(to), exist_ok=True)
    os.symlink("%s/%s.case" % (SETS[origin], case), to)


def differs(origin, case, todo):
    """Where both sets have a case of this name, the list means the bench's."""
    return case in todo and (origin == "s" or not os.path.exists("%s/%s.case" % (SETS["s"], case)))


def reference(top):
    """A folder of commands for the reference: see t/conformance/reference/postfix.  Returns None where that would not work."""
    d = top + "/reference"
    shutil.copytree(TOP + "/t/conformance/reference", d)
    os.makedirs(d + "/model/q")
    os.makedirs(d + "/etc")
    open(d + "/nothing", "w").close()
    open(d + "/etc/master.cf", "w").close()
    with open(d + "/etc/main.cf", "w") as f:
        f.write("compatibility_level = 3.6\nqueue_directory = %s/model/q\ndata_directory = %s/model/data\n" % (d, d))
    p = subprocess.run(["/usr/sbin/postfix", "-c", d + "/etc", "check"], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    if p.returncode == 0 and os.path.isdir(d + "/model/q/pid") and os.path.isdir(d + "/model/data"):
        return d
    print("# postfix check: %s" % p.stderr.strip().replace("\n", "; "))
    return None


def names_of_ours():
    """What two products cannot have in common: the name, and the version (macro v of milters, banners)."""
    version = [subprocess.run([d + "/postconf", "-hd", "mail_version"], stdout=subprocess.PIPE, text=True).stdout.strip() for d in (INST + "/sbin", "/usr/sbin")]
    return ["--rename", "Posthouse=Postfix"] + (["--rename", "%s=%s" % tuple(version)] if all(version) else [])


def run(tree, ref, jobs, retries):
    if not os.path.isdir(tree):
        return []
    argv = [sys.executable, BENCH + "/run.py", "--iut", INST + "/sbin", "--json", tree + ".json", "--cases", tree, "-j", str(jobs), "-v",
            "--retries", str(retries)] + names_of_ours() + (["--reference", ref] if ref else [])
    p = subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    print("".join("# " + l + "\n" for l in p.stdout.split("\n") if l[:4] in ("BAD ", "tota", "time") or l[:5] == "flaky"), end="")
    try:
        return json.load(open(tree + ".json"))
    except (OSError, ValueError):
        print("# " + p.stdout.replace("\n", "\n# "))
        return []


def report(results, todo):
    bad = 0
    for n, r in enumerate(sorted(results, key=lambda r: r["case"][1:]), 1):
        case, equal = r["case"].split("/", 1)[1], not r["diffs"]
        why = todo[case] if differs(r["case"][1], case, todo) else None
        print("%sok %d - %s%s" % ("" if equal else "not ", n, case, " # TODO " + why if why is not None else ""))
        if why is not None:
            if equal:
                print("# %s is equal now: take its line out of t/conformance/not-yet" % case)
        elif not equal:
            bad += 1
            for d in r["diffs"].values():
                print("".join("#   %s\n" % l for l in d[:60]), end="")
    print("1..%d" % len(results))
    return 1 if bad or not results else 0


def main():
    if os.geteuid() != 0:
        print("1..0 # SKIP the bench needs root for its namespaces")
        return 0
    todo, slow = listed("not-yet"), listed("slow")
    with tempfile.TemporaryDirectory(prefix="cb.") as top:
        os.chmod(top, 0o755)
        for origin, cases in SETS.items():
            found = names(cases)
            if not os.path.isdir(cases):
                print("not ok 1 - %s is missing" % cases)
                return 1
            for c in found:
                link(top + ("/differ" if differs(origin, c, todo) else "/equal"), origin, c, c not in slow)
        ref = reference(top)
        with concurrent.futures.ThreadPoolExecutor(2) as ex:
            # What is known to differ is run once: that it differs again is no news.
            parts = [ex.submit(run, top + "/equal", ref, 9, 2), ex.submit(run, top + "/differ", ref, 1, 0)]
            return report([r for p in parts for r in p.result()], todo)


sys.exit(main())
