#!/usr/bin/env python3
"""What a plugin for MTA-STS (RFC 8461) may answer through smtp_tls_policy_maps: N-108."""
import os
import socket
import ssl
import subprocess
import sys
import threading

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)) + "/../lib")
from instance import Client, Instance, Tap, wait_for

t = Tap()
STRINGS = "{ policy_string = version: STSv1 } { policy_string = mode: enforce } { policy_string = mx: localhost }"
STS = "policy_type=sts policy_domain=x.test policy_ttl=86400 "
CASES = [   # policy, part of the result, name
    ("secure match=localhost " + STS + "mx_host_pattern=localhost " + STRINGS, "status=sent", "a policy that names the host"),
    ("secure match=other.test " + STS + "mx_host_pattern=localhost " + STRINGS, "status=sent", "the host's own name counts, not the list for the certificate"),
    ("secure match=localhost " + STS + "mx_host_pattern=mx.other.test mx_host_pattern=*.localhost", "dsn=4.7.5, status=deferred (MTA-STS policy does not name host localhost)", "a host that no pattern names is not used"),
    ("secure match=localhost:other.test " + STS + STRINGS, "status=sent", "no pattern: the list for the certificate counts"),
    ("secure match=localhost " + STS + "mx_host_pattern=*", "dsn=4.7.5, status=deferred (client TLS configuration problem)", "the pattern * is none"),
    ("secure match=localhost " + STS + "mx_host_pattern=a..b", "dsn=4.7.5, status=deferred (client TLS configuration problem)", "a pattern that is no name"),
    ("secure match=localhost policy_type=sts policy_ttl=99999999999999999999999999 mx_host_pattern=localhost", "status=sent", "a huge TTL"),
    ("secure match=localhost policy_type=sts policy_ttl=-1", "dsn=4.7.5, status=deferred (client TLS configuration problem)", "a TTL that is none"),
    ("secure match=localhost policy_type=mode", "dsn=4.7.5, status=deferred (client TLS configuration problem)", "an unknown policy_type"),
    ("secure match=localhost mx_host_pattern=localhost", "dsn=4.7.5, status=deferred (client TLS configuration problem)", "attributes without policy_type"),
    ("dane-only " + STS + "mx_host_pattern=localhost", "dsn=4.7.5, status=deferred (client TLS configuration problem)", "MTA-STS at a level of DANE"),
    ("secure match=localhost " + STS + "mx_host_pattern=localhost policy_failure=sts-webpki-invalid", "dsn=4.7.5, status=deferred (MTA-STS policy failure: sts-webpki-invalid)", "a policy that could not be fetched safely"),
    ("secure match=localhost " + STS + "policy_failure=bad-mood", "dsn=4.7.5, status=deferred (client TLS configuration problem)", "an unknown failure"),
    ("may " + STS + "mx_host_pattern=mx.other.test policy_failure=sts-policy-invalid", "status=sent", "mode testing demands nothing"),
    ("may policy_type=no-policy-found policy_domain=x.test", "status=sent", "no policy"),
]
CASES.append(("secure match=localhost " + STS + "mx_host_pattern=mx.other.test", "status=sent", "smtp_tls_enforce_sts_mx_patterns = no"))


class Sink:
    """One server on several ports: the next hop is the key of the policy table."""

    def __init__(self, cert, key, n):
        self.ctx = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.ctx.load_cert_chain(cert, key)
        self.sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(n)]
        self.ports = [s.getsockname()[1] for s in self.sockets]
        for s in self.sockets:
            threading.Thread(target=self.run, args=(s,), daemon=True).start()

    def run(self, s):
        while True:
            c, _ = s.accept()
            threading.Thread(target=self.serve, args=(c,), daemon=True).start()

    def serve(self, c):
        try:
            c.sendall(b"220 sink ESMTP\r\n")
            f, tls = c.makefile("rb"), False
            while line := f.readline():
                verb = line[:4].upper()
                if verb == b"EHLO":
                    c.sendall(b"250 sink\r\n" if tls else b"250-sink\r\n250 STARTTLS\r\n")
                elif verb == b"STAR":
                    c.sendall(b"220 2.0.0 go\r\n")
                    c, tls = self.ctx.wrap_socket(c, server_side=True), True
                    f = c.makefile("rb")
                elif verb == b"DATA":
                    c.sendall(b"354 go\r\n")
                    while f.readline() not in (b".\r\n", b""):
                        pass
                    c.sendall(b"250 2.0.0 done\r\n")
                else:
                    c.sendall(b"221 bye\r\n" if verb == b"QUIT" else b"250 2.0.0 fine\r\n")
        except OSError:
            pass


PATTERNS = "secure match=localhost " + STS
CHANGES = [     # what the table says about one place, message by message
    (PATTERNS + "mx_host_pattern=localhost", "status=sent", "a policy, and a session that stays open"),
    (PATTERNS + "mx_host_pattern=mx.other.test", "dsn=4.7.5, status=deferred (MTA-STS policy does not name host localhost)", "it names another host now"),
    (PATTERNS + "mx_host_pattern=localhost policy_failure=sts-webpki-invalid", "dsn=4.7.5, status=deferred (MTA-STS policy failure: sts-webpki-invalid)", "it cannot be fetched safely now"),
    (PATTERNS + "mx_host_pattern=localhost", "conn_use=2, ", "it is what it was: the session is used again"),
]


def answer(table):
    """A tcp_table server: the next of CHANGES to each question."""
    c = table.accept()[0]
    f = c.makefile("rb")
    for policy, _, _ in CHANGES:
        f.readline()
        c.sendall(b"200 " + policy.replace(" ", "%20").encode() + b"\n")
    f.readline()


table = socket.create_server(("127.0.0.1", 0))
threading.Thread(target=answer, args=(table,), daemon=True).start()
i = Instance("smtp_tls_policy_maps = texthash:@ETC@/policy\ntransport_maps = texthash:@ETC@/transport\nsmtp_host_lookup = native\n"
             "smtp_connection_cache_on_demand = no\nsmtp_tls_CAfile = @DIR@/cert.pem\n", "loose unix - - n - - smtp -o smtp_tls_enforce_sts_mx_patterns=no\n"
             "cached unix - - n - 1 smtp -o smtp_tls_policy_maps=tcp:127.0.0.1:%d -o smtp_connection_cache_on_demand=yes -o smtp_connection_cache_time_limit=60s"
             " -o smtp_tls_connection_reuse=yes\n" % table.getsockname()[1])
subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj", "/CN=x", "-addext",
                "subjectAltName=DNS:localhost", "-keyout", i.dir + "/key.pem", "-out", i.dir + "/cert.pem"], check=True, capture_output=True)
sink = Sink(i.dir + "/cert.pem", i.dir + "/key.pem", len(CASES))
i.write("policy", "".join("[localhost]:%d %s\n" % (port, c[0]) for port, c in zip(sink.ports, CASES)))
i.write("transport", "".join("d%d.test %s:[localhost]:%d\n" % (k, "loose" if c is CASES[-1] else "smtp", sink.ports[k]) for k, c in enumerate(CASES)) + "cached.test cached:[localhost]:%d\n" % sink.ports[-1])


def send(domain):
    c = Client(i.port)
    r = c.send("s@test.example", ["x@" + domain], "Subject: x\n\nbody\n")
    c.quit()
    return r.split()[-1]


def check(qid, want, name):
    line = wait_for(name, lambda: [l for l in i.log().split("\n") if qid in l and "status=" in l], 30)[0]
    t.ok(want in line, "N-108 " + name, line)


with i:
    ids = [send("d%d.test" % k) for k in range(len(CASES))]
    for qid, (policy, want, name) in zip(ids, CASES):
        check(qid, want, name)
    for policy, want, name in CHANGES:
        check(send("cached.test"), want, name)
sys.exit(t.done())
