#!/usr/bin/env python3
"""tcp, socketmap and unix tables: against small servers, good and bad ones; and beside Postfix's where it is installed."""
import os, re, shutil, socket, subprocess, sys, tempfile, threading

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


tcp_lines = []


@quietly
def tcp(c):
    f = c.makefile("rwb")
    for line in f:
        tcp_lines.append(line)
        if len(line) > 4000:
            f.write(b"200 long:%%20%d\n" % (len(line) - 5))
            f.flush()
            continue
        key = line.strip().decode().split(" ", 1)[1]
        f.write({"a": b"200 value%20with%20blanks\n", "pct%25%20x": b"200 encoded\n", "t": b"400 come%20back\n", "bad": b"hello\n",
                 "long": b"200 " + b"x" * 5000 + b"\n", "bin": b"200 %zz\n", "a%20b%25c%0ad%0d": b"200 odd%20key\n", "a%20b%25c%0Ad%0D": b"200 odd%20key\n"}.get(key, b"500 none\n"))
        f.flush()


def netstring(b):
    return b"%d:%s," % (len(b), b)


RAW = {"big": netstring(b"OK " + b"y" * 99997), "bigger": netstring(b"OK " + b"y" * 99998), "ten digits": b"9999999999:OK x,", "no comma": b"4:OK x",
       "wrong comma": b"4:OK x;", "no length": b":OK x,", "zero": b"0:,", "sign": b"+4:OK x,", "blank": b" 4:OK x,", "notfoundx": netstring(b"NOTFOUNDx"),
       "nul": netstring(b"OK a\0b"), "one": b"01:x,", "temp": netstring(b"TEMP"), "perm": netstring(b"PERM"), "lower": netstring(b"notfound ")}


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
        assert f.read(1) == b","
        if len(key) > 9000:
            f.write(netstring(b"OK long: %d" % (len(key) + len(name) + 1)))
            f.flush()
            continue
        if key in RAW:
            f.write(RAW[key])
            f.flush()
            c.shutdown(2)
            return
        if key == "drop":
            c.shutdown(2)
            return
        f.write({"a": netstring(b"OK %s of a" % name.encode()), "with blanks % and\nlines": netstring(b"OK odd key"), "t": netstring(b"TEMP later"), "to": netstring(b"TIMEOUT slow"),
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
    expect(t, "a b%c\nd\r\0"[:-1], "odd key")        # N-231: one line, with %XX
    ok(all(re.fullmatch(rb"get [!-~]+\n", l) for l in tcp_lines), "N-231 each key is one line", tcp_lines)
    expect(t, "x" * 4090, "long: 4090")
    n = len(tcp_lines)
    rc, out, err = query(t, "x" * 10001)
    ok(rc == 1 and not out and len(tcp_lines) == n and "a key of 10001 bytes" in err, "N-231 a key of 10001 bytes is not asked for", rc, out, err[-300:])
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
        # N-231: at the limit of socketmap_max_query_size ("map " and the key) it is asked, beyond it is not, and said so.
        expect(table, "x" * 9996, "long: 10000")
        rc, out, err = query(table, "x" * 9997)
        ok(rc == 1 and not out and "longer than socketmap_max_query_size" in err and "error" not in err, "N-231 a key of 9997 bytes is not there", err[-300:])
        expect(table, "with blanks % and\nlines", "odd key")       # N-231
        # N-230: replies at the limit of socketmap_max_reply_size and beyond, and lengths that are none.
        rc, out, err = query(table, "big")
        ok(rc == 0 and out == "y" * 99997, "N-230 a reply of 100000 bytes", rc, len(out), err)
        for key, why in (("bigger", "100001"), ("ten digits", "not a netstring"), ("no comma", "no answer"), ("wrong comma", "not a netstring"), ("no length", "not a netstring"),
                         ("zero", "unexpected reply"), ("sign", "not a netstring"), ("blank", "not a netstring"), ("notfoundx", "unexpected reply"), ("nul", "not a netstring"),
                         ("one", "unexpected reply"), ("temp", "temporary error"), ("perm", "permanent error"), ("lower", "unexpected reply")):
            rc, out, err = query(table, key)
            ok(rc == 1 and not out and "query error" in err and why in err, "N-230 %s: an error, not \"not found\"" % key, rc, out, err)
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
