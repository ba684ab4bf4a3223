"""A Dovecot auth server whose answers a test decides: Auth(path, answer), answer(verb, id, fields) -> bytes, or None to close."""
import base64
import os
import socket
import threading

GREETING = b"VERSION\t1\t2\nMECH\tPLAIN\tplaintext\nMECH\tLOGIN\tplaintext\nMECH\tCRAM-MD5\tdictionary\tactive\nSPID\t7\nCUID\t1\nCOOKIE\t00\nDONE\n"


def login(users):
    """Answers as Dovecot gives them for PLAIN, LOGIN and a CRAM-MD5 that never succeeds."""
    state = {}

    def verdict(rid, user, ok):
        return b"OK\t%s\tuser=%s\n" % (rid, user) if ok else b"FAIL\t%s\tuser=%s\n" % (rid, user) if user else b"FAIL\t%s\n" % rid

    def plain(rid, data):
        w = data.split(b"\0")
        if len(w) != 3:
            return b"FAIL\t%s\treason=invalid input\n" % rid
        clean = w[1].translate(None, b"\t\n\r\0")
        return verdict(rid, clean, users.get(w[1].decode("latin-1")) == w[2].decode("latin-1"))

    def answer(verb, rid, f):
        if verb == b"AUTH":
            mech = f[0]
            resp = [x[5:] for x in f if x.startswith(b"resp=")]
            state[rid] = [mech]
            if mech == b"PLAIN" and resp:
                return plain(rid, base64.b64decode(resp[0]))
            if mech == b"CRAM-MD5":
                return b"CONT\t%s\t%s\n" % (rid, base64.b64encode(b"<1.2@x>"))
            return b"CONT\t%s\t%s\n" % (rid, base64.b64encode(b"Username:") if mech == b"LOGIN" else b"")
        data = base64.b64decode(f[0]) if f else b""
        st = state[rid]
        if st[0] == b"PLAIN":
            return plain(rid, data)
        st.append(data)
        if st[0] == b"LOGIN" and len(st) == 2:
            return b"CONT\t%s\t%s\n" % (rid, base64.b64encode(b"Password:"))
        return verdict(rid, st[1].translate(None, b"\t\n\r\0"), st[0] == b"LOGIN" and users.get(st[1].decode("latin-1")) == st[2].decode("latin-1"))

    return answer


class Auth:
    def __init__(self, path, answer, greeting=GREETING):
        self.path, self.answer, self.greeting = path, answer, greeting
        self.connections, self.open, self.seen = 0, [], []
        self.s = socket.socket(socket.AF_UNIX)
        self.s.bind(path)
        self.s.listen(50)
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                c, _ = self.s.accept()
            except OSError:
                return
            self.connections += 1
            self.open.append(c)
            threading.Thread(target=self.serve, args=(c,), daemon=True).start()

    def serve(self, c):
        try:
            c.sendall(self.greeting)
            for line in c.makefile("rb"):
                f = line.rstrip(b"\n").split(b"\t")
                self.seen.append(f)
                if f[0] not in (b"AUTH", b"CONT"):
                    continue
                out = self.answer(f[0], f[1], f[2:])
                if out is None:
                    break
                c.sendall(out)
        except OSError:
            pass
        try:
            c.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        c.close()

    def drop(self):
        """Close the connections that are there."""
        for c in self.open:
            try:
                c.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
        self.open = []

    def stop(self):
        self.s.close()
        self.drop()
        if os.path.exists(self.path):
            os.unlink(self.path)
