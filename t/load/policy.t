#!/usr/bin/env python3
"""policy.t: a slow policy server delays those who ask it, and nobody else: 1,000 sessions wait for its answer while others send their mail; then each
gets an answer.  Nothing is timed: what happens while the server is silent happens in spite of it."""
import asyncio
import os
import resource
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from instance import Client, Instance, Tap, free_port                            # noqa: E402

N = int(os.environ.get("SESSIONS", "1000"))
ASKING, POLICY = free_port(), free_port()
MAIN = """
mydestination = test.example
local_transport = discard:
smtpd_policy_service_timeout = 120s
smtpd_client_connection_count_limit = 0
"""
MASTER = "127.0.0.1:%d inet n - n - - smtpd -o smtpd_recipient_restrictions=check_policy_service,inet:127.0.0.1:%d,permit\n" % (ASKING, POLICY)
tap = Tap()


class Server:
    """Reads requests; answers none before it is released."""

    def __init__(self):
        self.requests, self.open, self.go, self.full = 0, 0, asyncio.Event(), asyncio.Event()

    async def serve(self, r, w):
        self.open += 1
        try:
            while True:
                await r.readuntil(b"\n\n")
                self.requests += 1
                if self.requests >= N:
                    self.full.set()
                await self.go.wait()
                w.write(b"action=REJECT asked\n\n")
                await w.drain()
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass
        finally:
            w.close()


async def reply(r):
    while True:
        line = (await r.readline()).decode()
        if line[3:4] != "-":
            return line.rstrip()


async def session(i):
    r, w = await asyncio.open_connection("127.0.0.1", ASKING, local_addr=("127.0.%d.%d" % (1 + i // 250, 1 + i % 250), 0))
    await reply(r)
    for line in ("EHLO c.example", "MAIL FROM:<a@x.example>", "RCPT TO:<b@test.example>"):
        w.write(line.encode() + b"\r\n")
        last = await reply(r)
    w.close()
    return last


def others(port, n):
    """Mail of clients who ask nobody."""
    out = []
    for _ in range(n):
        c = Client(port)
        out.append(c.send("s@x.example", ["b@test.example"], "Subject: x\n\nbody\n"))
        c.quit()
    return out


async def play(inst):
    server = Server()
    listener = await asyncio.start_server(server.serve, "127.0.0.1", POLICY, backlog=2000)
    waiting = [asyncio.ensure_future(session(i)) for i in range(N)]
    await asyncio.wait_for(server.full.wait(), 60)
    tap.eq(sum(t.done() for t in waiting), 0, "%d sessions wait for the policy server" % N)
    got = await asyncio.get_running_loop().run_in_executor(None, others, inst.port, 50)
    tap.eq([g for g in got if "queued as" not in g], [], "50 messages of others are taken meanwhile")
    tap.eq(sum(t.done() for t in waiting), 0, "... while all of them still wait")
    server.go.set()
    replies = await asyncio.wait_for(asyncio.gather(*waiting), 60)
    tap.eq({r for r in replies}, {"554 5.7.1 <b@test.example>: Recipient address rejected: asked"}, "each gets its answer when the server speaks")
    listener.close()


def main():
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 20000), hard))
    with Instance(MAIN, MASTER) as inst:
        asyncio.run(play(inst))
    return tap.done()


sys.exit(main())
