#!/usr/bin/env python3
"""big.t: lengths that do not fit into 32 or 64 bits, where they are only said, and with BIG_GIB=5 where they are really sent (N-351).

With BIG_GIB=5 (ten gibibytes of disk, a minute or two): message_size_limit = 0, a message of that many gibibytes in one BDAT chunk and a header line
of as many in DATA, both delivered and counted to the byte.  Without it, the same with 8 MiB."""
import os
import re
import resource
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from instance import INST, Client, Instance, Tap, wait_for              # noqa: E402

GIB = int(os.environ.get("BIG_GIB", "0"))
CONTENT = GIB << 30 or 8 << 20
LINE = (b"0123456789abcdef" * 5)[:78] + b"\r\n"
BLOCK = LINE * 16384                            # 1.25 MiB
WAIT = 600 if GIB else 60
UNLIMITED = "default_transport = discard:away\nmessage_size_limit = 0\nmailbox_size_limit = 0\n"


def pour(c, total):
    """Lines of 80 bytes, TOTAL bytes in all (a multiple of 80)."""
    while total:
        n = min(total, len(BLOCK))
        c.s.sendall(BLOCK[:n])
        total -= n


def begin(router):
    c = Client(router.port, timeout=WAIT)
    for l in ("EHLO client.example", "MAIL FROM:<s@client.example>", "RCPT TO:<r@away.test>"):
        c.cmd(l)
    return c


def size_of(router, reply):
    """The bytes that the queue manager counts for the message that REPLY took."""
    qid = re.search(r"queued as (\S+)", reply).group(1)
    line = router.wait_log(qid + ": from=", WAIT)[0]
    router.wait_log(qid + ": removed", WAIT)
    return int(re.search(r"size=(\d+)", line).group(1))


def declared(tap, router):
    """What a client says about sizes is arithmetic before it is memory."""
    c = Client(router.port)
    c.cmd("EHLO client.example")
    for n in (2 ** 63 - 1, 2 ** 63, 2 ** 64, 2 ** 64 + 5, 10 ** 30, -1):
        r = c.cmd("MAIL FROM:<s@client.example> SIZE=%d" % n)
        tap.ok(r[:1] in "45", "N-351 SIZE=%d is refused, not wrapped" % n, r)
        c.cmd("RSET")
    c.quit()
    for n in (2 ** 63, 2 ** 64, 2 ** 64 + 4, 10 ** 30, -1):
        c = begin(router)
        c.s.sendall(b"BDAT %d LAST\r\n" % n)
        r = c.reply()
        tap.ok(r[:1] in "45", "N-351 BDAT %d is refused, not wrapped to a small chunk" % n, r)
        c.s.close()


def chunk(tap, router):
    c = begin(router)
    head = b"Subject: big\r\n\r\n"
    total = len(head) + CONTENT // 80 * 80
    c.s.sendall(b"BDAT %d LAST\r\n" % total + head)
    pour(c, total - len(head))
    r = c.reply()
    tap.ok(r.startswith("250"), "N-351 a message of %d bytes in one chunk" % total, r)
    lines = CONTENT // 80 + 2                       # a line end counts as one byte in the queue, as in Postfix
    tap.ok(r.startswith("250") and size_of(router, r) >= total - lines, "N-351 and it is counted in full", r)
    c.quit()


def header_line(tap, router):
    c = begin(router)
    c.cmd("DATA")
    c.s.sendall(b"X-Long: ")
    left = CONTENT
    piece = b"y" * (1 << 20)
    while left:
        c.s.sendall(piece)
        left -= len(piece)
    c.s.sendall(b"\r\n\r\nbody\r\n.\r\n")
    r = c.reply()
    tap.ok(r.startswith("250"), "N-351 a header line of %d bytes has an answer" % CONTENT, r)
    c.quit()


def command_line(tap, router):
    """An address beyond every limit, by sendmail -t: refused or cut by a limit, in bounded memory."""
    length = min(CONTENT, 2 << 30)
    p = subprocess.Popen([INST + "/sbin/sendmail", "-t", "-f", "s@client.example"], env=dict(router.env, MAIL_CONFIG=router.etc),
                         stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                         preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (512 << 20, 512 << 20)))
    try:
        p.stdin.write(b"To: r@away.test, ")
        for _ in range(length >> 20):
            p.stdin.write(b"a" * (1 << 20))
        p.stdin.write(b"@away.test\nSubject: x\n\nx\n")
        p.stdin.close()
    except BrokenPipeError:
        pass
    out = p.stdout.read().decode("latin-1")
    tap.ok(p.wait(WAIT) >= 0, "N-351 sendmail -t with an address of %d bytes ends by itself" % length, (p.returncode, out[-500:]))
    wait_for("an empty queue", router.queue_is_empty, WAIT)


def main():
    tap = Tap()
    with Instance(main=UNLIMITED) as router:
        before = router.master_pid()
        declared(tap, router)
        chunk(tap, router)
        header_line(tap, router)
        command_line(tap, router)
        tap.ok(router.master_pid() == before and "signal" not in router.log(), "no process died", router.log()[-2000:])
    sys.exit(tap.done())


main()
