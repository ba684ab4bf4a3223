#!/usr/bin/env python3
"""A small, mostly honest DNS server for tests (UDP and TCP).  Standard library only.

    dnsd.py [--listen ADDR:PORT] [--log FILE] [--sign ZONE --anchor FILE] ZONEFILE     prints "port N" when it is ready

--sign: names in ZONE have DNSSEC signatures (made with the openssl command); the zone's trust anchor is written to FILE.

Lines of the zone file:
    NAME TYPE DATA              A AAAA MX TXT PTR CNAME NS SRV TLSA
    NAME TYPE*N DATA            N records; "%d" in DATA becomes 0..N-1
    NAME raw TYPE HEX           a record with these bytes as rdata
    host NAME ADDR              A or AAAA, and the PTR
    bogus NAME                  the signatures of this name are wrong
    NAME !WORD                  servfail refused notimp nxdomain timeout garbage empty
                                truncate (UDP answers are cut, TCP's whole) truncate-only (TCP is refused)
                                slow (answers after 3 s)
NAME may begin with "*.".  CNAMEs are followed within the zone, as a resolver does, at most 40 links.
"""
import argparse
import base64
import ipaddress
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time

TYPES = {"A": 1, "NS": 2, "CNAME": 5, "SOA": 6, "PTR": 12, "MX": 15, "TXT": 16, "AAAA": 28, "SRV": 33, "TLSA": 52}
RCODES = {"servfail": 2, "nxdomain": 3, "notimp": 4, "refused": 5}


def wire(name):
    out = b""
    for label in name.rstrip(".").split("."):
        if label:
            raw = label.encode().decode("unicode_escape").encode("latin-1")
            out += bytes([len(raw)]) + raw
    return out + b"\0"


def rdata(kind, data):
    if kind == "A":
        return socket.inet_aton(data)
    if kind == "AAAA":
        return socket.inet_pton(socket.AF_INET6, data)
    if kind in ("CNAME", "PTR", "NS"):
        return wire(data)
    if kind == "MX":
        pref, name = data.split()
        return struct.pack(">H", int(pref)) + wire(name)
    if kind == "SRV":
        a, b, c, name = data.split()
        return struct.pack(">HHH", int(a), int(b), int(c)) + wire(name)
    if kind == "TXT":
        raw = data.strip('"').encode()
        return b"".join(bytes([len(raw[i:i + 255])]) + raw[i:i + 255] for i in range(0, len(raw) or 1, 255))
    if kind == "TLSA":
        words = data.split()
        return bytes(map(int, words[:3])) + bytes.fromhex(words[3])
    raise ValueError(kind)


class Signer:
    """RFC 4034 with RSA and SHA-256; names that do not exist are denied as RFC 9824 does: they have no data."""

    def __init__(self, zone, anchor):
        self.zone, self.cache, self.bogus = zone.rstrip(".").lower(), {}, set()
        self.dir = tempfile.mkdtemp(prefix="dnsd.")
        self.key = self.dir + "/key.pem"
        subprocess.run(["openssl", "genrsa", "-out", self.key, "2048"], check=True, capture_output=True)
        out = subprocess.run(["openssl", "rsa", "-in", self.key, "-noout", "-modulus"], check=True, capture_output=True, text=True).stdout
        self.dnskey = struct.pack(">HBB", 257, 3, 8) + b"\3\1\0\1" + bytes.fromhex(out.strip().split("=")[1])
        tag = sum(b << 8 if i % 2 == 0 else b for i, b in enumerate(self.dnskey))
        self.tag = (tag + (tag >> 16)) & 0xffff
        with open(anchor, "w") as f:
            f.write("%s. IN DNSKEY 257 3 8 %s\n" % (self.zone, base64.b64encode(self.dnskey[4:]).decode()))

    def covers(self, name):
        name = name.rstrip(".").lower()
        return name == self.zone or name.endswith("." + self.zone)

    def rrsig(self, owner, kind, rdatas):
        at = (owner, kind, tuple(rdatas))
        if at not in self.cache:
            head = struct.pack(">HBBIIIH", kind, 8, len(owner.split(".")), 60, int(time.time()) + 86400, int(time.time()) - 3600, self.tag) + wire(self.zone)
            rrs = b"".join(wire(owner.lower()) + struct.pack(">HHIH", kind, 1, 60, len(r)) + r for r in sorted(rdatas))
            sig = subprocess.run(["openssl", "dgst", "-sha256", "-sign", self.key], input=head + rrs, check=True, capture_output=True).stdout
            if owner in self.bogus:
                sig = sig[:-1] + bytes([sig[-1] ^ 1])
            self.cache[at] = head + sig
        return self.cache[at]

    def denial(self, name, kinds):
        """Records for the authority section: there is no such type at this name."""
        window = bytearray(8)
        for k in set(kinds) | {46, 47}:
            if k < 64:
                window[k // 8] |= 0x80 >> k % 8
        nsec = b"\1\0" + wire(name.lower()) + b"\0\x08" + bytes(window)
        soa = wire("ns." + self.zone) + wire("admin." + self.zone) + struct.pack(">IIIII", 1, 3600, 600, 86400, 60)
        return [(self.zone, 6, soa), (self.zone, 46, self.rrsig(self.zone, 6, [soa])),
                (name, 47, nsec), (name, 46, self.rrsig(name.lower(), 47, [nsec]))]


class Zone:
    def __init__(self, path, signer=None):
        self.rr, self.special, self.signer = {}, {}, signer
        for line in open(path):
            line = line.split("#", 1)[0].strip()
            if line:
                self.line(line)

    def add(self, name, number, raw):
        self.rr.setdefault(name.rstrip(".").lower(), []).append((number, raw))

    def line(self, line):
        word = line.split(None, 2)
        if word[0] == "bogus":
            self.signer.bogus.add(word[1])
        elif word[0] == "host":
            addr = ipaddress.ip_address(word[2])
            kind = "A" if addr.version == 4 else "AAAA"
            self.add(word[1], TYPES[kind], rdata(kind, word[2]))
            self.add(addr.reverse_pointer, TYPES["PTR"], rdata("PTR", word[1]))
        elif word[1].startswith("!"):
            self.special[word[0].rstrip(".").lower()] = word[1][1:]
        elif word[1] == "raw":
            kind, text = word[2].split(None, 1)
            self.add(word[0], TYPES[kind], bytes.fromhex(text))
        else:
            kind, _, count = word[1].partition("*")
            for i in range(int(count or 1)):
                data = word[2].replace("%d", str(i)) if count else word[2]
                self.add(word[0], TYPES[kind.upper()], rdata(kind.upper(), data))

    def find(self, name):
        name = name.lower()
        labels = name.split(".")
        for cand in [name] + ["*." + ".".join(labels[i:]) for i in range(1, len(labels))]:
            if cand in self.special:
                return self.special[cand], []
            if cand in self.rr:
                return "ok", self.rr[cand]
        if any(k.endswith("." + name) for k in self.rr):
            return "ok", []
        return "nxdomain", []


def question(msg):
    at, labels = 12, []
    while msg[at]:
        labels.append(msg[at + 1:at + 1 + msg[at]].decode("latin-1"))
        at += 1 + msg[at]
    at += 1
    return ".".join(labels), struct.unpack(">H", msg[at:at + 2])[0], msg[12:at + 4]


def text_of(raw):
    at, labels = 0, []
    while raw[at]:
        labels.append(raw[at + 1:at + 1 + raw[at]].decode("latin-1"))
        at += 1 + raw[at]
    return ".".join(labels)


def build(msg, zone, tcp, log):
    name, qtype, asked = question(msg)
    if log:
        log.write("%s %d %s\n" % (name, qtype, "tcp" if tcp else "udp"))
        log.flush()
    word, rrs = zone.find(name)
    rcode, answers, owner, flags = 0, [], name, 0x8180
    if word.startswith("truncate"):
        if not tcp:
            return msg[:2] + struct.pack(">HHHHH", flags | 0x200, 1, 0, 0, 0) + asked
        if word == "truncate-only":
            return None
        rrs = [(t, r) for n, l in zone.rr.items() if n == "of." + name.lower() for t, r in l]
    elif word == "timeout":
        return None
    elif word == "garbage":
        return msg[:2] + b"\x81\x80\0\1\0\5\0\0\0\0" + asked + b"\xc0\xff\xff" * 7
    elif word == "empty":
        return msg[:2]
    elif word == "slow":
        time.sleep(3)
        rrs = [(1, socket.inet_aton("192.0.2.77"))]
    elif word != "ok":
        rcode = RCODES[word]
    signer, authority = zone.signer, []
    if signer and name.lower() == signer.zone and qtype == 48 and word != "servfail":
        rrs, rcode = [(48, signer.dnskey)], 0
    for _ in range(40):
        cname = [r for t, r in rrs if t == 5]
        if not cname or qtype == 5:
            break
        answers.append((owner, 5, cname[0]))
        owner = text_of(cname[0])
        word, rrs = zone.find(owner)
        if word == "nxdomain":
            rcode = 3
    answers += [(owner, t, r) for t, r in rrs if t == qtype]
    if signer and rcode in (0, 3):
        for o, t in dict.fromkeys((o, t) for o, t, _ in answers):
            if signer.covers(o):
                answers.append((o, 46, signer.rrsig(o.lower(), t, [r for o2, t2, r in answers if (o2, t2) == (o, t)])))
        if signer.covers(owner) and not [1 for o, t, _ in answers if o == owner and t == qtype]:
            rcode, authority = 0, signer.denial(owner, [t for t, _ in rrs])
    pack = lambda l: b"".join(wire(o) + struct.pack(">HHIH", t, 1, 60, len(r)) + r for o, t, r in l)
    out = pack(answers) + pack(authority)
    opt = b"\0" + struct.pack(">HHIH", 41, 1232, 0x8000, 0) if msg[10:12] != b"\0\0" else b""
    if not tcp and len(out) > (1100 if not signer else 1400):
        return msg[:2] + struct.pack(">HHHHH", flags | 0x200, 1, 0, 0, 0) + asked
    return msg[:2] + struct.pack(">HHHHH", flags | rcode, 1, len(answers), len(authority), 1 if opt else 0) + asked + out + opt


def serve_tcp(sock, zone, log):
    while True:
        conn, _ = sock.accept()
        try:
            conn.settimeout(3)
            n = struct.unpack(">H", conn.recv(2))[0]
            reply = build(conn.recv(n), zone, True, log)
            if reply is not None:
                conn.sendall(struct.pack(">H", len(reply)) + reply)
        except (OSError, IndexError, struct.error):
            pass
        conn.close()


def answer_udp(sock, zone, msg, peer, log):
    try:
        reply = build(msg, zone, False, log)
        if reply is not None:
            sock.sendto(reply, peer)
    except (OSError, IndexError, struct.error) as e:
        sys.stderr.write("dnsd: %r\n" % e)


def main():
    args = argparse.ArgumentParser()
    args.add_argument("--listen", default="127.0.0.1:0")
    args.add_argument("--log")
    args.add_argument("--sign")
    args.add_argument("--anchor")
    args.add_argument("zone")
    args = args.parse_args()
    host, _, port = args.listen.rpartition(":")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    zone, log = Zone(args.zone, Signer(args.sign, args.anchor) if args.sign else None), open(args.log, "a") if args.log else None
    for _ in range(20):
        udp = socket.socket(family, socket.SOCK_DGRAM)
        udp.bind((host.strip("[]"), int(port)))
        tcp = socket.socket(family, socket.SOCK_STREAM)
        tcp.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            tcp.bind(udp.getsockname()[:2])
            break
        except OSError:
            udp.close()
            tcp.close()
    tcp.listen(50)
    print("port %d" % udp.getsockname()[1], flush=True)
    threading.Thread(target=serve_tcp, args=(tcp, zone, log), daemon=True).start()
    while True:
        msg, peer = udp.recvfrom(4096)
        threading.Thread(target=answer_udp, args=(udp, zone, msg, peer, log), daemon=True).start()


if __name__ == "__main__":
    main()
