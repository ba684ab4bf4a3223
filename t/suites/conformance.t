#!/usr/bin/env python3
"""conformance.t: run the differential bench (Debian's Postfix against us) as one TAP test per case.

The bench and its cases live beside the source tree in ../shared/conformance, or where CONFORMANCE says; cases of our own in
t/conformance/cases.  A case named in t/conformance/not-yet (name, tab, reason) is run too and reported as TODO: when it becomes equal,
its line has to go."""
import json
import os
import subprocess
import sys
import tempfile

TOP = os.environ.get("TOP") or os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
INST = os.environ.get("INST", TOP + "/build/inst")
BENCH = os.environ.get("CONFORMANCE", TOP + "/../shared/conformance")
OWN = TOP + "/t/conformance/cases"


def not_yet():
    out = {}
    try:
        for line in open(TOP + "/t/conformance/not-yet"):
            if line.strip() and not line.startswith("#"):
                name, _, why = line.rstrip("\n").partition("\t")
                out[name.strip()] = why.strip()
    except FileNotFoundError:
        pass
    return out


def names(cases):
    return sorted(os.path.relpath(os.path.join(d, f), cases)[:-5] for d, _, fs in os.walk(cases) for f in fs if f.endswith(".case"))


def run(cases, wanted, retries):
    if not wanted:
        return []
    with tempfile.NamedTemporaryFile(suffix=".json") as f:
        argv = [sys.executable, BENCH + "/run.py", "--iut", INST + "/sbin", "--json", f.name, "--cases", cases, "-j", "10", "-v", "--retries", str(retries),
                "--rename", "Posthouse=Postfix"]
        for c in wanted:
            argv += ["--case", c]
        p = subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        print("".join("# " + l + "\n" for l in p.stdout.split("\n") if l[:4] in ("BAD ", "tota", "time")), end="")
        try:
            return json.load(open(f.name))
        except ValueError:
            print("# " + p.stdout.replace("\n", "\n# "))
            return []


def main():
    n = bad = 0
    if os.geteuid() != 0:
        print("1..0 # SKIP the bench needs root for its namespaces")
        return 0
    todo = not_yet()
    for cases in (BENCH + "/cases", OWN):
        if not os.path.isdir(cases):
            if cases != OWN:
                print("not ok 1 - %s is missing" % cases)
                return 1
            continue
        only = os.environ.get("CASES", "").split()
        all_names = [c for c in names(cases) if not only or any(c == o or c.startswith(o + "/") for o in only)]
        # What is known to differ is run once: that it differs again is no news.
        results = run(cases, [c for c in all_names if c not in todo], 2) + run(cases, [c for c in all_names if c in todo], 0)
        for r in sorted(results, key=lambda r: r["case"]):
            n += 1
            equal = not r["diffs"]
            why = todo.get(r["case"])
            if why is not None:
                print("%sok %d - %s # TODO %s" % ("" if equal else "not ", n, r["case"], why))
                if equal:
                    print("# %s is equal now: take its line out of t/conformance/not-yet" % r["case"])
                continue
            print("%sok %d - %s" % ("" if equal else "not ", n, r["case"]))
            if not equal:
                bad += 1
                for k, d in r["diffs"].items():
                    print("".join("#   %s\n" % l for l in d[:60]), end="")
    print("1..%d" % n)
    return 1 if bad or n == 0 else 0


sys.exit(main())
