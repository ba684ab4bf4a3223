#!/usr/bin/env python3
"""slowpolicy.py POLICYPORT SMTPPORT SESSIONS PAUSE: a policy server that takes 200 ms for an answer, and so many SMTP sessions that ask it by RCPT, each every
PAUSE seconds, until it is terminated.  Prints "ready" when each session has had its first answer."""
import asyncio
import resource
import sys

POLICY, SMTP, SESSIONS = (int(a) for a in sys.argv[1:4])
PAUSE = float(sys.argv[4])
answered = 0


async def serve(r, w):
    try:
        while True:
            await r.readuntil(b"\n\n")
            await asyncio.sleep(0.2)
            w.write(b"action=DUNNO\n\n")
    except (asyncio.IncompleteReadError, ConnectionError):
        w.close()


async def reply(r):
    while True:
        line = await r.readline()
        if line[3:4] != b"-":
            return line


async def session(i):
    global answered
    r, w = await asyncio.open_connection("127.0.0.1", SMTP)
    await reply(r)
    for line in (b"EHLO c.test\r\n", b"MAIL FROM:<a@src.test>\r\n"):
        w.write(line)
        await reply(r)
    n = 0
    while True:
        w.write(b"RCPT TO:<u%d@discard.test>\r\n" % n)
        if not await reply(r):
            return
        answered += n == 0
        if n == 0 and answered == SESSIONS:
            print("ready", flush=True)
        n = n % 50 + 1
        await asyncio.sleep(PAUSE)


async def main():
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 20000), hard))
    await asyncio.start_server(serve, "127.0.0.1", POLICY, backlog=2000)
    await asyncio.gather(*(session(i) for i in range(SESSIONS)), return_exceptions=True)


asyncio.run(main())
