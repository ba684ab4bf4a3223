#!/usr/bin/env python3
"""The manual page of every command names the options that the command takes, and no others; every command has one, and so has every module."""
import glob
import os
import re
import shutil
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
        print("# " + str(detail).replace("\n", "\n# "))


def options_of(source):
    """The letters of the getopt strings in a source file."""
    letters = set()
    for s in re.findall(r'getopt(?:_long)?\([^,]+,[^,]+, "([^"]*)"', source) + re.findall(r'#define OPTIONS "([^"]*)"', source):
        letters |= set(s) - set("+-:")
    return letters


def options_in(page):
    """The letters that a page names: arguments of Fl, first letters; "Fl a | b" and "Op Fl abc" name several."""
    letters = set()
    for line in re.findall(r"^\.(?:It|Op|Nm|Fl)\b.*$", page, re.M):
        for words in re.findall(r"\bFl ((?:(?! Fl ).)*)", line):
            first = True
            for w in re.split(r"[ ,]+", words):
                if w == "|" and " Cm " not in " %s " % words:
                    first = True
                    continue
                if w in ("Ar", "Cm", "Op", "Ns", "Pq", "Li", "/"):
                    first = False
                    continue
                if first and re.match(r"^[A-Za-z#]", w):
                    letters |= set(w) if line.startswith(".Op Fl") and len(words.split()) == 1 else {w[0]}
                first = False
    return letters


SOURCES = {"newaliases": None, "mailq": None, "posthouse": None}
for page in sorted(glob.glob(TOP + "/doc/man/*.1")):
    name = os.path.basename(page)[:-2]
    if name.startswith("posthouse-"):       # a verb of posthouse
        continue
    text = open(page).read()
    ok(re.search(r"^\.Nm %s$" % name, text, re.M) and ".Sh DESCRIPTION" in text, "%s.1 is a page of %s" % (name, name))
    ok(os.path.exists("%s/sbin/%s" % (INST, name)), "%s is installed" % name)
    if name in SOURCES:
        continue
    have = options_of(open("%s/cmd/%s.c" % (TOP, name)).read())
    said = options_in(text)
    ok(have == said, "%s.1 names the options of %s" % (name, name), "not in the page: %s\nonly in the page: %s" % (sorted(have - said), sorted(said - have)))

for f in sorted(os.listdir(INST + "/sbin")):
    ok(os.path.exists("%s/doc/man/%s.1" % (TOP, f)), "%s has a manual page" % f)
pages = set(os.path.basename(p) for p in glob.glob(INST + "/share/man/man*/*"))
out = subprocess.run([INST + "/sbin/posthouse", "modules"], capture_output=True, text=True, env=dict(os.environ, MAIL_CONFIG=TOP + "/etc")).stdout
modules = re.findall(r"^(lookup|restriction|filter|delivery|sasl|counter)\s+(\S+)", out, re.M)
ok(len(modules) > 30, "posthouse modules lists them", out[:500])
for kind, name in modules:
    ok(any(name in p for p in pages), "%s %s has a manual page" % (kind, name), sorted(pages)[:20])
p = subprocess.run([sys.executable, TOP + "/build-aux/mkmoduledocs", INST + "/sbin/posthouse", "--check"], capture_output=True, text=True)
ok(p.returncode == 0, "doc/restrictions.md and doc/tables.md say what the modules declare (run build-aux/mkmoduledocs)", p.stdout + p.stderr)


def undocumented(path):
    """Functions of a header without a word about them: no comment above, or above the row they stand in, and none behind."""
    lines = open(path).read().split("\n")
    for i, line in enumerate(lines):
        m = re.match(r"PH_API .*?(ph_\w+)\(", line)
        if not m or "/*" in line:
            continue
        above = i - 1
        while above >= 0 and lines[above].strip() and not lines[above].rstrip().endswith("*/"):
            above -= 1
        if not lines[above].rstrip().endswith("*/"):
            yield "%s: %s" % (os.path.basename(path), m.group(1))


bare = [f for h in sorted(glob.glob(TOP + "/include/posthouse/*.h")) for f in undocumented(h)]
ok(not bare, "each function of the public headers is described", "\n".join(bare))
mandoc = subprocess.run("command -v mandoc", shell=True, capture_output=True).returncode == 0
if mandoc:
    r = subprocess.run(["mandoc", "-T", "lint", "-W", "error", *sorted(glob.glob(TOP + "/doc/man/*.1"))], capture_output=True, text=True)
    ok(r.returncode == 0, "mandoc finds no errors", r.stdout)
for sample in ("main", "debian-main"):
    with tempfile.TemporaryDirectory() as d:
        for kind in ("main", "master"):
            shutil.copy("%s/etc/%s.cf" % (TOP, sample.replace("main", kind)), "%s/%s.cf" % (d, kind))
        p = subprocess.run([INST + "/sbin/posthouse", "check", "-c", d], capture_output=True, text=True)
        text = p.stdout + p.stderr
        ok(p.returncode == 0 and not re.search(r"error|no effect|unknown", text), "etc/%s.cf: no findings" % sample, text)
print("1..%d" % n)
