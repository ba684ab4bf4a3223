#!/usr/bin/env python3
"""The server's TLS: names that clients ask for, tickets, early data, renegotiation, groups."""
import base64
import os
import shutil
import socket
import ssl
import subprocess
import sys
import tempfile
import time

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
    s.settimeout(20)
    w = ctx.wrap_socket(s, session=session)
    w.sendall(b"NOOP\r\n")
    w.recv(100)
    return w


def talk(w, line, lines=1):
    w.sendall(line)
    got = b""
    while got.count(b"\r\n") < lines:
        more = w.recv(4096)
        if not more:
            break
        got += more
    return got


def broken_chunk(r):
    """N-044: TLS ends within a BDAT chunk; what follows in the clear is read by nobody."""
    ctx = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    ctx.check_hostname, ctx.verify_mode = False, ssl.CERT_NONE
    for what, how in (("close_notify", None), ("an alert in the clear", b"\x15\x03\x03\x00\x02\x02\x28"),
                      ("a record that is cut", b"\x17\x03\x03\x01\x00" + b"y" * 20), ("garbage", b"z" * 100)):
        w = starttls(r.ports["smtp"], ctx)
        w.settimeout(20)
        got = talk(w, b"EHLO x\r\n")
        while b"\r\n250 " not in got:
            got += w.recv(4096)
        for line in (b"MAIL FROM:<s@out.test>\r\n", b"RCPT TO:<alice@here.test>\r\n"):
            got = talk(w, line)
        ok(b"2.1.5" in got, "N-044 (a recipient)", got)
        w.sendall(b"BDAT 2000\r\n" + b"x" * 500)
        raw = socket.socket(fileno=os.dup(w.fileno()))
        raw.settimeout(20)
        try:
            if how is None:
                w.unwrap()
            else:
                raw.sendall(how)
            raw.sendall(b"x" * 1500 + b"RSET\r\nNOOP\r\n")
            raw.shutdown(socket.SHUT_WR)
        except OSError:
            pass                        # it has hung up already
        said = b""
        try:
            while (more := raw.recv(4096)):
                said += more
        except OSError:
            pass
        ok(b"\r\n" not in said and b"250" not in said, "N-044 %s within a chunk: no reply in the clear" % what, said)
        raw.close()
        w.close()
    smtp_again = starttls(r.ports["smtp"], ctx)
    ok(talk(smtp_again, b"NOOP\r\n").startswith(b"250"), "N-044 and the next client is served")
    smtp_again.close()
    ok("BDAT" in r.log_lines() and r.messages() == [], "N-044 nothing of it was taken", r.messages())


def openssl(*args, **k):
    p = subprocess.run(["openssl", *args], capture_output=True, **k)
    if p.returncode:
        raise RuntimeError("openssl %s: %s" % (args, p.stderr.decode()))
    return p.stdout


def hostile_certificates(r):
    """N-090: what a client shows is judged honestly and printed harmlessly; the session goes on, since nothing demands a certificate."""
    d, key = work, work + "/key"

    def signed(name, subject, by, ext="", days="2"):
        open(d + "/ext", "w").write("basicConstraints=critical,CA:%s\n%s" % ("TRUE" if name.startswith("ca") else "FALSE", ext))
        openssl("req", "-new", "-key", key, "-subj", subject, "-out", d + "/csr")
        openssl("x509", "-req", "-in", d + "/csr", "-days", days, "-extfile", d + "/ext", "-out", d + "/%s.pem" % name,
                *(["-CA", d + "/%s.pem" % by, "-CAkey", key, "-CAcreateserial"] if by else ["-signkey", key]))
        return open(d + "/%s.pem" % name).read()

    chain = [open(d + "/ca.pem").read()]
    for i in range(12):
        chain.insert(0, signed("ca%d" % i, "/CN=ca%d" % i, "ca%d" % (i - 1) if i else "ca"))
    nul = signed("self-nul", "/CN=goodXevil.test", None)
    der = ssl.PEM_cert_to_DER_cert(nul).replace(b"goodXevil.test", b"good\0evil.test")
    cases = [("good", signed("good", "/CN=good.client", "ca"), "Trusted"),
             ("self-signed", signed("self", "/CN=self.test", None), "Untrusted"),
             ("expired", signed("old", "/CN=old.test", "ca", days="-1"), "Untrusted"),
             ("for servers only", signed("server", "/CN=server.test", "ca", "extendedKeyUsage=serverAuth\n"), "Untrusted"),
             ("12 issuers deep", signed("deep", "/CN=deep.test", "ca11") + "".join(chain), "Untrusted"),
             ("of a 64 KB subject", signed("big", "/CN=big.test" + ("/OU=" + "o" * 60) * 1000, "ca"), "Trusted"),
             ("with line ends in its name", signed("lines", "/CN=a\r\nJan  1 00:00:00 x postfix[1]: forged\x1b[2J", None), "Untrusted"),
             ("with a NUL in its name", ssl.DER_cert_to_PEM_cert(der), "Untrusted")]
    for what, pem, level in cases:
        open(d + "/show.pem", "w").write(pem)
        ctx = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        ctx.check_hostname, ctx.verify_mode = False, ssl.CERT_NONE
        ctx.load_cert_chain(d + "/show.pem", key)
        before = len(r.log_lines())
        try:
            w = starttls(r.ports["ccert"], ctx)
            said = talk(w, b"NOOP\r\n")
            w.close()
        except OSError as e:
            said = repr(e).encode()
        log = smtp_wait(lambda: [l for l in r.log_lines()[before:].split("\n") if "TLS connection established" in l or "TLS library" in l or "SSL_accept" in l])
        ok(said.startswith(b"250") and log and " %s TLS" % level in " " + log[0].split("]: ")[1], "N-090 a certificate %s: %s, and the session goes on" % (what, level), (said, log))
    text = r.log_lines()
    ok("\n" "Jan  1 00:00:00 x postfix[1]: forged" not in text and "\x1b" not in text and "\r" not in text, "N-090 no name forges a line of the log")
    ok("subject_CN=good.client," in text and "subject_CN=a??Jan" in text, "N-090 names are logged, line ends in them as ?", text[-1500:])
    ok("subject_CN=good," not in text, "N-090 a NUL ends no name early")


def smtp_wait(fn):
    end = time.monotonic() + 20
    while not (got := fn()) and time.monotonic() < end:
        time.sleep(0.02)
    return got


work = tempfile.mkdtemp(prefix="tls.")
openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", "-subj", "/CN=the CA", "-keyout", work + "/key",
        "-out", work + "/ca.pem")
t = smtp.Test("tls")
t.files["ca"] = open(work + "/ca.pem").read()
alt = certificate("alt.test", "/tmp" if not os.environ.get("TMPDIR") else os.environ["TMPDIR"])
t.main = [("smtpd_tls_security_level", "may"), ("smtpd_tls_chain_files", "@TLS@"), ("smtpd_tls_loglevel", "1"), ("tls_server_sni_maps", "texthash:@ETC@/sni")]
t.files["sni"] = "alt.test %s\n.sub.test %s\nbroken.test bm90aGluZw==\n" % ((base64.b64encode(alt.encode()).decode(),) * 2)
t.services = ["ccert -o smtpd_tls_loglevel=2 -o smtpd_tls_ask_ccert=yes -o smtpd_tls_CAfile=@ETC@/ca -o smtpd_tls_session_cache_timeout=0", "other -o smtpd_tls_eecdh_grade=strong", "old -o smtpd_tls_protocols=TLSv1.2 -o tls_eecdh_auto_curves=secp384r1"]
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
    broken_chunk(r)
    hostile_certificates(r)
    kept = starttls(port, ctx)
    session = kept.session
    kept.close()
finally:
    text = r.stop()
ok(not text, "the server ends cleanly", text)
r = smtp.Router(t, BUILD)
try:
    w = starttls(r.ports["smtp"], ctx, session)
    ok(not w.session_reused and talk(w, b"NOOP\r\n").startswith(b"250"), "N-086 a ticket of keys that are gone: a full handshake, no failure")
    w.close()
finally:
    r.stop()
    shutil.rmtree(work)
print("1..%d" % count)
sys.exit(1 if failed else 0)
