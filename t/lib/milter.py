"""milter.py: the filter half of the milter protocol, played from a script.  Standard library only.

    m = Milter()                        listens on m.spec ("inet:127.0.0.1:port")
    m.on("M", REJECT)                   answer MAIL with a packet; b"" stands for no answer
    m.on("E", add(b"X-A", b"1"), CONTINUE)
    m.on("H", CLOSE)                    hang up
    m.on("R", RAW(b"\\xff\\xff\\xff\\xff"))  bytes that are no packet
    m.reset()                           continue everywhere; forget events
    m.events                            [(command, data), ...] of all sessions; macros as command "D"
Commands are the letters of SMFIC_*: C H M R T U L N B E A Q O."""
import socket
import struct
import threading
import time


def packet(command, data=b""):
    return struct.pack("!I", len(data) + 1) + command + data


CONTINUE, ACCEPT, REJECT, TEMPFAIL, DISCARD, SKIP, PROGRESS, SHUTDOWN, CONN_FAIL = (
    packet(c) for c in (b"c", b"a", b"r", b"t", b"d", b"s", b"p", b"4", b"f"))


class RAW(bytes):
    pass


CLOSE = object()


def reply(text):
    return packet(b"y", text + b"\0")


def add(name, value):
    return packet(b"h", name + b"\0" + value + b"\0")


def insert(at, name, value):
    return packet(b"i", struct.pack("!I", at) + name + b"\0" + value + b"\0")


def change(nth, name, value):
    return packet(b"m", struct.pack("!I", nth) + name + b"\0" + value + b"\0")


def body(data):
    return packet(b"b", data)


def add_rcpt(address, args=None):
    return packet(b"+", address + b"\0") if args is None else packet(b"2", address + b"\0" + args + b"\0")


def delete_rcpt(address):
    return packet(b"-", address + b"\0")


def sender(address, args=None):
    return packet(b"e", address + b"\0" + (args + b"\0" if args else b""))


def quarantine(reason):
    return packet(b"q", reason + b"\0")


class Sleep:
    def __init__(self, seconds):
        self.seconds = seconds


class Milter:
    def __init__(self, version=6, actions=0x1ff, protocol=0, macros=b""):
        self.offer = packet(b"O", struct.pack("!III", version, actions, protocol) + macros)
        self.lock = threading.Lock()
        self.sessions = 0
        self.reset()
        self.socket = socket.socket()
        self.socket.bind(("127.0.0.1", 0))
        self.socket.listen(50)
        self.port = self.socket.getsockname()[1]
        self.spec = "inet:127.0.0.1:%d" % self.port
        threading.Thread(target=self.serve, daemon=True).start()

    def reset(self):
        with self.lock:
            self.script, self.events = {}, []

    def on(self, command, *answers):
        self.script[command] = answers
        return self

    def seen(self, command):
        with self.lock:
            return [d for c, d in self.events if c == command]

    def serve(self):
        while True:
            c, _ = self.socket.accept()
            self.sessions += 1
            threading.Thread(target=self.session, args=(c,), daemon=True).start()

    def session(self, c):
        f = c.makefile("rb")
        try:
            while True:
                head = f.read(4)
                if len(head) < 4:
                    return
                data = f.read(struct.unpack("!I", head)[0])
                command, data = data[:1].decode("latin-1"), data[1:]
                with self.lock:
                    self.events.append((command, data))
                if command == "Q":
                    return
                if command in "AD":
                    continue
                for a in self.script.get(command, (self.offer if command == "O" else CONTINUE,)):
                    if a is CLOSE:
                        return
                    if isinstance(a, Sleep):
                        time.sleep(a.seconds)
                    else:
                        c.sendall(a)
        except OSError:
            pass
        finally:
            # shutdown as well: the file object holds the descriptor, and the other side waits for the end
            try:
                c.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            c.close()
            f.close()
