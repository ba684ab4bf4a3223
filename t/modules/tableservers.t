#!/usr/bin/env python3
"""tcp, socketmap and unix tables: against small servers, good and bad ones; and beside Postfix's where it is installed."""
import os, shutil, socket, subprocess, sys, tempfile, threading

build = os.environ.get("PH_BUILD", ".")
posthouse = os.path.join(build, "posthouse")
if not os.access(posthouse, os.X_OK):
    print("1..0 # SKIP posthouse is not built")
    sys.exit(0)
tmp = tempfile.mkdtemp()
os.mkdir(tmp + "/etc")
open(tmp + "/etc/main.cf", "w").write("compatibility_level = 3.6\n")
count = failed = 0


def ok(cond, name, *notes):
    global count, failed
    count += 1
    print("%sok %d - %s" % ("" if cond else "not ", count, name))
    if not cond:
        failed = 1
        for n in notes:
            print("# " + str(n).replace("\n", "\n# "))


def serve(handler, path=None):
    if path:
        s = socket.socket(socket.AF_UNIX)
        s.bind(path)
    else:
        s = socket.socket()
        s.bind(("127.0.0.1", 0))
    s.listen(20)

    def loop():
        while True:
            c, _ = s.accept()
            threading.Thread(target=handler, args=(c,), daemon=True).start()
    threading.Thread(target=loop, daemon=True).start()
    return s.getsockname()[1] if not path else path


def quietly(handler):
    """A client that hangs up is no news."""
    def run(c):
        try:
            handler(c)
        except OSError:
            pass
    return run


@quietly
def tcp(c):
    f = c.makefile("rwb")
    for line in f:
        key = line.strip().decode().split(" ", 1)[1]
        f.write({"a": b"200 value%20with%20blanks\n", "pct%25%20x": b"200 encoded\n", "t": b"400 come%20back\n", "bad": b"hello\n",
                 "long": b"200 " + b"x" * 5000 + b"\n", "bin": b"200 %zz\n"}.get(key, b"500 none\n"))
        f.flush()


def netstring(b):
    return b"%d:%s," % (len(b), b)


@quietly
def sockmap(c):
    f = c.makefile("rwb")
    while True:
        n = b""
        while (ch := f.read(1)) not in (b":", b""):
            n += ch
        if not n:
            return
        name, key = f.read(int(n)).decode().split(" ", 1)
        f.read(1)
        if key == "drop":
            c.shutdown(2)
            return
        f.write({"a": netstring(b"OK %s of a" % name.encode()), "t": netstring(b"TEMP later"), "to": netstring(b"TIMEOUT slow"),
                 "p": netstring(b"PERM never"), "junk": b"hello\n", "huge": b"999999999:x", "odd": netstring(b"WHAT"),
                 "late": b"3:OK x"}.get(key, netstring(b"NOTFOUND ")))
        f.flush()


def query(table, key, tool=None):
    cmd = (tool or [posthouse, "postmap"]) + ["-c", tmp + "/etc", "-q", key, table]
    r = subprocess.run(cmd, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60)
    return r.returncode, r.stdout.strip(), r.stderr


def expect(table, key, want):
    rc, out, err = query(table, key)
    if want is None:
        ok(rc == 1 and not out and "error" not in err, "%s %s is not there" % (table.split(":")[0], key), rc, out, err)
    elif isinstance(want, tuple):
        ok(rc == 1 and not out and "query error" in err and want[0] in err, "%s %s fails: %s" % (table.split(":")[0], key, want[0]), rc, out, err)
    else:
        ok(rc == 0 and out == want, "%s %s -> %s" % (table.split(":")[0], key, want), rc, out, err)


try:
    t = "tcp:127.0.0.1:%d" % serve(tcp)
    expect(t, "a", "value with blanks")
    expect(t, "pct% x", "encoded")
    expect(t, "zz", None)
    expect(t, "t", ("come back",))
    expect(t, "bad", ("malformed",))
    expect(t, "bin", ("malformed",))
    expect(t, "long", ("127.0.0.1",))
    expect("tcp:127.0.0.1:1", "a", ("refused",))
    rc, out, err = query("tcp:foo", "a")
    ok(rc == 1 and "need host:port" in err, "tcp: a name without port", err)

    s = "socketmap:inet:127.0.0.1:%d:map" % serve(sockmap)
    u = "socketmap:unix:%s:map" % serve(sockmap, tmp + "/sock")
    for table in (s, u):
        expect(table, "a", "map of a")
        expect(table, "zz", None)
        expect(table, "t", ("temporary error: later",))
        expect(table, "to", ("timeout: slow",))
        expect(table, "p", ("permanent error: never",))
        expect(table, "junk", ("not a netstring",))
        expect(table, "huge", ("999999999",))
        expect(table, "odd", ("WHAT",))
        expect(table, "late", ("not a netstring",))
        expect(table, "drop", ("no answer",))
        expect(table, "x" * 20000, ("max_query_size",))
    rc, out, err = query("socketmap:foo", "a")
    ok(rc == 1 and "socketmap requires server:socketmap argument" in err, "socketmap: a name without a map", err)

    # Many keys over one connection.
    r = subprocess.run([posthouse, "postmap", "-c", tmp + "/etc", "-q", "-", s], input="a\nzz\na\n", capture_output=True, text=True)
    ok(r.stdout == "a\tmap of a\na\tmap of a\n", "many keys at once", r)

    expect("unix:passwd.byname", "root", open("/etc/passwd").read().split("\n")[0] if open("/etc/passwd").read().startswith("root:") else "?")
    expect("unix:passwd.byname", "no such user", None)
    expect("unix:group.byname", "root", [l for l in open("/etc/group").read().split("\n") if l.startswith("root:")][0])
    rc, out, err = query("unix:foo", "a")
    ok(rc == 1 and "unknown table: unix:foo" in err, "unix: an unknown table", err)

    theirs = shutil.which("postmap", path=os.environ["PATH"].replace(os.path.dirname(posthouse), "") + ":/usr/sbin")
    if theirs and os.path.realpath(theirs) != os.path.realpath(posthouse):
        for table, key in ((s, "a"), (s, "zz"), (u, "a"), (t, "a"), (t, "zz"), ("unix:passwd.byname", "mail"), ("unix:group.byname", "adm")):
            ok(query(table, key)[:2] == query(table, key, [theirs])[:2], "as Postfix: %s %s" % (table.split(":")[0], key),
               query(table, key), query(table, key, [theirs]))
finally:
    shutil.rmtree(tmp)
print("1..%d" % count)
sys.exit(failed)
