#!/usr/bin/env python3
"""Reloads under load: CLIENTS clients send without pause while the configuration is reloaded RELOADS times.  No connection is refused or cut, no message
is lost or doubled; a broken main.cf keeps the old configuration serving and is named with file and line."""
import asyncio
import collections
import os
import shutil
import sys

TOP = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
sys.path.insert(0, os.path.join(TOP, "t", "lib"))
from instance import Instance, Tap, wait_for             # noqa: E402

CLIENTS = int(os.environ.get("CLIENTS", "200"))
RELOADS = int(os.environ.get("RELOADS", "50"))
MAIN = """
virtual_mailbox_domains = box.test.example
virtual_mailbox_base = @DIR@/mail
virtual_mailbox_maps = static:box/
virtual_uid_maps = static:%d
virtual_gid_maps = static:%d
virtual_minimum_uid = 1
smtpd_client_connection_rate_limit = 0
smtpd_banner = $myhostname ESMTP generation 0
"""


class Load:
    def __init__(self, port):
        self.port, self.stop = port, False
        self.accepted, self.trouble, self.banners = [], [], collections.Counter()

    async def session(self, k, n):
        """One connection with a few messages."""
        r, w = await asyncio.open_connection("127.0.0.1", self.port)

        async def cmd(line, want):
            if line:
                w.write(line.encode() + b"\r\n")
            while True:
                l = (await asyncio.wait_for(r.readline(), 60)).decode()
                if l[3:4] != "-":
                    break
            if not l.startswith(want):
                raise OSError("%r was answered %r" % (line, l))
            return l
        try:
            self.banners[(await cmd(None, "220")).split("generation ")[-1].strip()] += 1
            await cmd("EHLO load.test.example", "250")
            for m in range(3):
                name = "m%d.%d.%d" % (k, n, m)
                await cmd("MAIL FROM:<a@test.example>", "250")
                await cmd("RCPT TO:<box@box.test.example>", "250")
                await cmd("DATA", "354")
                await cmd("Subject: %s\r\n\r\nbody\r\n." % name, "250 2.0.0")
                self.accepted.append(name)
                if self.stop:
                    break
                await asyncio.sleep(0.05)
            await cmd("QUIT", "221")
        finally:
            w.close()

    async def client(self, k):
        n = 0
        while not self.stop:
            try:
                await self.session(k, n)
            except (OSError, asyncio.TimeoutError) as e:
                self.trouble.append("client %d, session %d: %r" % (k, n, e))
                await asyncio.sleep(0.05)
            n += 1


async def postfix(inst, verb):
    p = await asyncio.create_subprocess_exec("postfix", "-c", inst.etc, verb, env=inst.env, stdout=asyncio.subprocess.PIPE,
                                             stderr=asyncio.subprocess.STDOUT)
    out = (await p.communicate())[0].decode()
    return p.returncode, out


async def seen(load, number):
    """Until a client was greeted by this generation."""
    for _ in range(3000):
        if load.banners[number]:
            return True
        await asyncio.sleep(0.01)
    return False


async def run(inst, t):
    load = Load(inst.port)
    clients = [asyncio.create_task(load.client(k)) for k in range(CLIENTS)]
    text = open(inst.etc + "/main.cf").read()
    missing = []
    for n in range(1, RELOADS + 1):
        inst.write("main.cf", text.replace("generation 0", "generation %d" % n))
        rc, out = await postfix(inst, "reload")
        if rc or not await seen(load, str(n)):
            missing.append((n, rc, out))
    t.ok(not missing, "%d reloads, each greets a client" % RELOADS, missing[:3])
    good = open(inst.etc + "/main.cf").read()
    inst.write("main.cf", good + "smtpd_banner = $myhostname ESMTP generation broken\ninet_protocols = ipv9\n")
    line = good.count("\n") + 2
    rc, out = await postfix(inst, "reload")
    log = open(inst.dir + "/mail.log").read()
    t.ok("main.cf, line %d" % line in out + log and "inet_protocols" in out + log, "a broken main.cf is named with its line", out + log[-1500:])
    before = len(load.accepted)
    while len(load.accepted) < before + CLIENTS:
        await asyncio.sleep(0.01)
    load.stop = True
    inst.write("main.cf", good)             # the commands read it, too
    await asyncio.gather(*clients)
    t.ok(not load.banners["broken"], "the old configuration serves on")
    t.ok(not load.trouble, "no connection was refused or cut (%d sessions)" % sum(load.banners.values()), "\n".join(load.trouble[:10]))
    return load


t = Tap()
inst = Instance(MAIN % ((1, 1) if os.geteuid() == 0 else (os.getuid(), os.getgid())))
if os.geteuid() == 0:
    shutil.chown(inst.dir + "/mail", 1, 1)
with inst:
    load = asyncio.run(run(inst, t))
    new = inst.dir + "/mail/box/new"

    def box():
        return os.listdir(new) if os.path.isdir(new) else []
    wait_for("all messages in the box", lambda: len(box()) >= len(load.accepted), seconds=120)
    wait_for("an empty queue", lambda: "queue is empty" in inst.command("postqueue", "-p").stdout, seconds=60)
    got = collections.Counter(l[9:].strip() for f in box() for l in open(new + "/" + f) if l.startswith("Subject: "))
    lost = [m for m in load.accepted if not got[m]]
    double = [m for m in got if got[m] > 1]
    t.ok(not lost, "%d messages accepted, lost: %d" % (len(load.accepted), len(lost)), lost[:10])
    t.ok(not double, "delivered twice: %d" % len(double), double[:10])
    if double:
        ids = {l.rsplit(" ", 1)[1].strip() for f in box() for x in [open(new + "/" + f).read()] if any("Subject: %s\n" % d in x for d in double[:2])
               for l in x.split("\n") if l.startswith("\t") and " id " in l}
        print("".join("# " + l for l in open(inst.dir + "/mail.log") if any(i in l for i in ids)))
sys.exit(t.done())
