#!/usr/bin/env python3
"""The server's TLS: names that clients ask for, tickets, early data, renegotiation, groups."""
import base64
import os
import socket
import ssl
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../smtp"))
import runner as smtp                                               # noqa: E402

BUILD = os.environ.get("PH_BUILD", "build")
count = failed = 0


def ok(cond, name, detail=""):
    global count, failed
    count += 1
    failed += not cond
    print("%sok %d - %s" % ("" if cond else "not ", count, name))
    for l in str(detail).splitlines()[-30:] if not cond else []:
        print("# " + l)


def certificate(name, directory):
    key, crt = directory + "/k.pem", directory + "/c.pem"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", "-subj", "/CN=" + name,
                    "-keyout", key, "-out", crt], check=True, capture_output=True)
    text = open(key).read() + open(crt).read()
    os.unlink(key)
    os.unlink(crt)
    return text


def s_client(port, *args, stdin=b"QUIT\r\n"):
    p = subprocess.run(["openssl", "s_client", "-starttls", "smtp", "-connect", "127.0.0.1:%d" % port] + list(args), input=stdin, capture_output=True, timeout=20)
    return (p.stdout + p.stderr).decode("latin-1")


def starttls(port, ctx, session=None):
    s = socket.create_connection(("127.0.0.1", port))
    f = s.makefile("rb")
    f.readline()
    for line in (b"EHLO x\r\n", b"STARTTLS\r\n"):
        s.sendall(line)
        while f.readline()[3:4] == b"-":
            pass
    w = ctx.wrap_socket(s, session=session)
    w.sendall(b"NOOP\r\n")
    w.recv(100)
    return w


t = smtp.Test("tls")
alt = certificate("alt.test", "/tmp" if not os.environ.get("TMPDIR") else os.environ["TMPDIR"])
t.main = [("smtpd_tls_security_level", "may"), ("smtpd_tls_chain_files", "@TLS@"), ("smtpd_tls_loglevel", "1"), ("tls_server_sni_maps", "texthash:@ETC@/sni")]
t.files["sni"] = "alt.test %s\n.sub.test %s\nbroken.test bm90aGluZw==\n" % ((base64.b64encode(alt.encode()).decode(),) * 2)
t.services = ["other -o smtpd_tls_eecdh_grade=strong", "old -o smtpd_tls_protocols=TLSv1.2 -o tls_eecdh_auto_curves=secp384r1"]
r = smtp.Router(t, BUILD)
port = r.ports["smtp"]
try:
    for name, cn in (("alt.test", "alt.test"), ("ALT.test", "alt.test"), ("x.sub.test", "alt.test"), ("sub.test", "mx.here.test"), ("none.test", "mx.here.test"),
                     ("broken.test", "mx.here.test")):
        out = s_client(port, "-servername", name)
        ok("CN = " + cn in out, "a client that asks for %s gets %s" % (name, cn), out)
    ok("TLS SNI broken.test from tls_server_sni_maps" in r.log_lines(), "a value that is no key and certificate is logged")
    for name in ("../../etc/passwd", "a" * 255, "a\\", "*", "\xff\xfe.test", "127.0.0.1", ".", "a..b", "-"):
        out = s_client(port, "-servername", name)
        ok("CN = mx.here.test" in out, "N-089 SNI %.20r is served with the default" % name, out)
    ok("etc/passwd" not in r.log_lines(), "N-089 and no path is made of it")
    out = s_client(port, "-tls1_3", stdin=b"NOOP\r\nQUIT\r\n")
    ok("Max Early Data: 0" in out or "Early data was not sent" in out and "Max Early Data: " not in out, "N-084 no early data is taken", out)
    out = s_client(port, "-tls1_2", stdin=b"R\nR\nQUIT\r\n")
    ok("RENEGOTIATING" in out and "no renegotiation" in out, "N-083 a client may not renegotiate", out)
    ctx = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    ctx.check_hostname, ctx.verify_mode = False, ssl.CERT_NONE
    w = starttls(port, ctx)
    again = starttls(port, ctx, w.session)
    ok(again.session_reused, "a session can be resumed")
    foreign = starttls(r.ports["other"], ctx, w.session)
    ok(not foreign.session_reused, "N-085 but not with another service")
    for x in (w, again, foreign):
        x.close()
    out = s_client(r.ports["other"])
    ok("P-256" in out or "prime256v1" in out, "smtpd_tls_eecdh_grade", out)
    out = s_client(r.ports["old"])
    ok("secp384r1" in out and "TLSv1.2" in out, "tls_eecdh_auto_curves, smtpd_tls_protocols", out)
finally:
    text = r.stop()
ok(not text, "the server ends cleanly", text)
print("1..%d" % count)
sys.exit(1 if failed else 0)
