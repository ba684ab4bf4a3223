#!/usr/bin/env python3
"""DANE (RFC 7672) against a signed zone: N-095 N-100 N-101 N-102 N-103 N-104 N-105 N-106 N-107."""
import hashlib
import os
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)) + "/../lib")
from instance import TOP, Client, Instance, Tap, free_port, wait_for


def openssl(*args, **more):
    return subprocess.run(["openssl", *args], check=True, capture_output=True, **more).stdout


def certificates(d):
    """A CA, and a server certificate for mx.good.sec.test under it."""
    openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj", "/CN=test CA", "-keyout", d + "/ca.key", "-out", d + "/ca.pem")
    openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=x", "-keyout", d + "/key.pem", "-out", d + "/csr.pem")
    open(d + "/ext", "w").write("subjectAltName=DNS:mx.good.sec.test\n")
    openssl("x509", "-req", "-in", d + "/csr.pem", "-CA", d + "/ca.pem", "-CAkey", d + "/ca.key", "-CAcreateserial", "-days", "2", "-extfile", d + "/ext", "-out", d + "/leaf.pem")
    open(d + "/chain.pem", "w").write(open(d + "/leaf.pem").read() + open(d + "/ca.pem").read())
    der = lambda f: openssl("x509", "-in", f, "-outform", "DER")
    spki = openssl("pkey", "-pubin", "-outform", "DER", input=openssl("x509", "-in", d + "/leaf.pem", "-noout", "-pubkey"))
    return hashlib.sha256(spki).hexdigest(), hashlib.sha256(der(d + "/ca.pem")).hexdigest()


def zone_text(port, ee, ta):
    wrong = "00" * 32
    hosts = {    # name: (address, TLSA records)
        "good": ("11", ["TLSA 3 1 1 " + ee]), "bad": ("11", ["TLSA 3 1 1 " + wrong]), "none": ("11", []), "plain": ("12", ["TLSA 3 1 1 " + ee]),
        "ta": ("11", ["TLSA 2 0 1 " + ta]),
        "useless": ("11", ["TLSA 1 0 1 " + wrong, "TLSA 3 7 1 " + wrong, "TLSA 3 1 9 " + wrong, "TLSA 3 1 1 " + wrong[:40], "raw TLSA 03", "raw TLSA 0301", "raw TLSA 030101"]),
        "mixed": ("11", ["raw TLSA 03", "TLSA 0 0 1 " + wrong, "TLSA 3 1 1 " + ee]),
    }
    out = []
    for n, (a, tlsa) in hosts.items():
        out += ["%s.sec.test MX 10 mx.%s.sec.test" % (n, n), "mx.%s.sec.test A 127.0.0.%s" % (n, a)]
        out += ["_%d._tcp.mx.%s.sec.test %s" % (port, n, t) for t in tlsa]
    out += ["only-%s.sec.test MX 10 mx.%s.sec.test" % (n, n) for n in ("none", "useless", "good", "plain")]
    out += ["fail.sec.test MX 10 mx.fail.sec.test", "mx.fail.sec.test A 127.0.0.11", "_%d._tcp.mx.fail.sec.test !servfail" % port]
    out += ["next.sec.test MX 10 mx.fail.sec.test", "next.sec.test MX 20 mx.good.sec.test"]
    out += ["bogus.sec.test MX 10 mx.good.sec.test", "bogus bogus.sec.test", "bogus.sec.test A 127.0.0.11"]
    out += ["bogustlsa.sec.test MX 10 mx.bt.sec.test", "mx.bt.sec.test A 127.0.0.11", "_%d._tcp.mx.bt.sec.test TLSA 3 1 1 %s" % (port, ee), "bogus _%d._tcp.mx.bt.sec.test" % port]
    out += ["cname.sec.test MX 10 mx.cname.sec.test", "mx.cname.sec.test CNAME mx.good.sec.test"]
    out += ["cnameout.sec.test MX 10 mx.cnameout.sec.test", "mx.cnameout.sec.test CNAME plain.out.test", "plain.out.test A 127.0.0.11", "_%d._tcp.mx.cnameout.sec.test TLSA 3 1 1 %s" % (port, wrong)]
    out += ["insecure.test MX 10 mx.bad.sec.test", "only-insecure.test MX 10 mx.good.sec.test"]
    return "\n".join(out) + "\n"


def server(script, *args):
    p = subprocess.Popen([sys.executable, TOP + "/t/lib/" + script, *args], stdout=subprocess.PIPE, text=True)
    return p, int(p.stdout.readline().split()[1])


MAIN = """
smtp_tcp_port = @SINK@
smtp_bind_address = 127.0.0.1
smtp_tls_security_level = dane
smtp_dns_support_level = dnssec
smtp_tls_loglevel = 1
smtp_tls_dane_insecure_mx_policy = may
dnssec_trust_anchor_file = @ANCHOR@
smtp_tls_policy_maps = inline:{only-none.sec.test=dane-only, only-useless.sec.test=dane-only, only-good.sec.test=dane-only, only-plain.sec.test=dane-only, only-insecure.test=dane-only}
"""

CASES = [   # domain, part of the log line, part of another line or None, name
    ("good.sec.test", "status=sent", "Verified TLS connection established to mx.good.sec.test[", "3 1 1: the key, whatever its CA"),
    ("bad.sec.test", "dsn=4.7.5, status=deferred (Server certificate not verified)", "num=65:no matching DANE TLSA records", "another key is not taken"),
    ("none.sec.test", "status=sent", "Untrusted TLS connection established to mx.none.sec.test[", "N-103 no TLSA records, and that is sure: opportunistic TLS"),
    ("plain.sec.test", "dsn=4.7.4, status=deferred (TLS is required, but was not offered by host mx.plain.sec.test[", None, "N-095 STARTTLS is stripped: nothing goes in clear"),
    ("ta.sec.test", "dsn=4.7.5, status=deferred (Server certificate not verified)", "num=62:hostname mismatch", "N-106 2 0 1: the CA is right, the name is not"),
    ("useless.sec.test", "status=sent", "TLSA records of mx.useless.sec.test are unusable", "N-104 N-105 records of no use: encrypted, not authenticated"),
    ("mixed.sec.test", "status=sent", "Verified TLS connection established to mx.mixed.sec.test[", "N-105 a broken record beside a good one"),
    ("fail.sec.test", "dsn=4.7.5, status=deferred (TLSA lookup error for mx.fail.sec.test:", None, "N-102 the TLSA look-up fails: this host is not used"),
    ("next.sec.test", "relay=mx.good.sec.test[127.0.0.11]", None, "N-102 but the next one is"),
    ("bogustlsa.sec.test", "dsn=4.7.5, status=deferred (TLSA lookup error for mx.bt.sec.test:", None, "N-102 TLSA records with a wrong signature"),
    ("bogus.sec.test", "dsn=4.4.3, status=deferred (Host or domain name not found. Name service error for name=bogus.sec.test type=MX", None, "N-100 MX records with a wrong signature: no way round"),
    ("cname.sec.test", "status=sent", "Verified TLS connection established to mx.cname.sec.test[", "N-107 records where the CNAME leads"),
    ("cnameout.sec.test", "status=sent", "Untrusted TLS connection established to mx.cnameout.sec.test[", "N-107 a CNAME out of the signed zone ends DANE"),
    ("insecure.test", "status=sent", "Untrusted TLS connection established to mx.bad.sec.test[", "N-101 MX records that are not signed: smtp_tls_dane_insecure_mx_policy = may"),
    ("only-none.sec.test", "dsn=4.7.5, status=deferred (no TLSA records found)", None, "dane-only without records"),
    ("only-useless.sec.test", "dsn=4.7.5, status=deferred (TLSA records unusable)", None, "N-104 dane-only with records of no use"),
    ("only-good.sec.test", "status=sent", None, "dane-only"),
    ("only-plain.sec.test", "dsn=4.7.4, status=deferred", None, "dane-only without STARTTLS"),
    ("only-insecure.test", "dsn=4.7.5, status=deferred (non DNSSEC destination)", None, "N-101 dane-only, MX records that are not signed"),
]


def main():
    t, servers = Tap(), []
    i = Instance()
    d = i.dir + "/mail"
    ee, ta = certificates(d)
    p, port = server("sink.py", "--listen", "127.0.0.11:0", "--tls", d + "/chain.pem", d + "/key.pem", "--ehlo", "PIPELINING, STARTTLS", "--log", d + "/sink")
    servers.append(p)
    servers.append(server("sink.py", "--listen", "127.0.0.12:%d" % port, "--ehlo", "PIPELINING", "--log", d + "/plain")[0])
    open(d + "/zone", "w").write(zone_text(port, ee, ta))
    p, dns = server("dnsd.py", "--sign", "sec.test", "--anchor", d + "/anchor", d + "/zone")
    servers.append(p)
    open(d + "/resolv", "w").write("nameserver 127.0.0.1@%d\n" % dns)
    i.env["PH_RESOLV_CONF"] = d + "/resolv"
    os.chmod(d, 0o755)
    os.chmod(d + "/anchor", 0o644)
    with open(i.etc + "/main.cf", "a") as f:
        f.write(MAIN.replace("@SINK@", str(port)).replace("@ANCHOR@", d + "/anchor"))
    try:
        with i:
            c = Client(i.port)
            for domain, *_ in CASES:
                c.send("s@test.example", ["x@" + domain], "Subject: x\n\nhello\n")
            c.quit()
            for domain, line, other, name in CASES:
                got = i.wait_log("to=<x@%s>" % domain, 30)[0]
                t.ok(line in got and (other is None or i.logged(other)), name, got)
            t.ok("DATA" not in open(d + "/plain").read(), "N-095 the server without STARTTLS has got nothing")
        # Nothing to validate with: whoever asks for DNSSEC is told, once.
        j = Instance()
        j.env["PH_RESOLV_CONF"] = j.etc + "/resolv"
        open(j.etc + "/resolv", "w").write("nameserver 127.0.0.1@%d\n" % dns)
        with open(j.etc + "/main.cf", "a") as f:
            f.write(MAIN.replace("@SINK@", str(port)).replace("@ANCHOR@", "") + "dnssec_probe = mx:insecure.test\n")
        with j:
            c = Client(j.port)
            c.send("s@test.example", ["x@insecure.test"], "Subject: x\n\nhello\n")
            c.quit()
            got = j.wait_log("reason: dnssec_probe 'mx:insecure.test' received a response that is not DNSSEC validated", 30)
            t.ok(len(got) == 1 and j.logged("warning: DNSSEC validation may be unavailable"), "dnssec_probe tells that answers cannot be validated", got)
    finally:
        for p in servers:
            p.kill()
    return t.done()


sys.exit(main())
