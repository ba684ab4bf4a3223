#!/usr/bin/env python3
"""A worker is confined: a restriction of ours tries from within it what broken-in code would try, and tells in its reply how that ended."""
import os
import shutil
import subprocess
import sys
import tempfile

TOP = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
sys.path.insert(0, os.path.join(TOP, "t", "lib"))
from instance import Client, INST, Instance, Tap             # noqa: E402

MODULE = r"""
#include <posthouse/restriction.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

static int make(const char *path)
{
	int fd = open(path, O_WRONLY | O_CREAT, 0600);

	if (fd < 0)
		return errno;
	close(fd);
	return 0;
}

static int run(void)
{
	int status = 0;
	pid_t pid = fork();

	if (pid == 0) {
		execl("/bin/true", "true", (char *)0);
		_exit(errno);
	}
	waitpid(pid, &status, 0);
	return WEXITSTATUS(status);
}

static struct ph_verdict check(void *use, const void *settings, struct ph_session *s)
{
	int data = make(DATA "/inside"), out = make(OUT "/outside"), command = run();
	int trace = ptrace(PTRACE_TRACEME, 0, 0, 0) == 0 ? 0 : errno, hidden = access(OUT, R_OK) == 0 ? 0 : errno;

	return ph_verdict_reject(s, 550, "5.7.1", "data=%d outside=%d exec=%d ptrace=%d read=%d", data, out, command, trace, hidden);
}

static const struct ph_restriction_ops ops = { .size = sizeof(ops), .check = check };
PH_MODULE(PH_KIND_RESTRICTION, "break_out", "1.0", "test", .ops.restriction = &ops);
"""

t = Tap()
kernel = subprocess.run([sys.executable, "-c", "import ctypes, sys\nsys.exit(0 if ctypes.CDLL(None).syscall(444, None, 0, 1) >= 2 else 1)"]).returncode == 0
inst = Instance("smtpd_client_restrictions = break_out\nsmtpd_delay_reject = no\n")
mods = inst.dir + "/modules"
os.mkdir(mods)
out = tempfile.mkdtemp()
os.chmod(out, 0o777)
with open(mods + "/m.c", "w") as f:
    f.write(MODULE)
subprocess.run(["cc", "-std=gnu11", "-shared", "-fPIC", "-DDATA=\"%s/data\"" % inst.dir, "-DOUT=\"%s\"" % out, "-I" + INST + "/include", "-o", mods + "/restriction_break_out.so",
                mods + "/m.c", "-L" + INST + "/lib", "-lposthouse", "-Wl,-rpath," + INST + "/lib"], check=True)
inst.env["PH_MODULE_PATH"] = mods
with inst:
    c = Client(inst.port)
    got = dict(w.split("=") for w in c.banner.split() if "=" in w)
    t.ok(got.get("data") == "0", "files are made in data_directory", c.transcript)
    t.ok(got.get("read") == "0", "and read elsewhere", c.transcript)
    if kernel:
        t.ok(got.get("outside") == "13", "but not made there, though the folder's permissions allow it", c.transcript)
        t.ok(got.get("exec") == "13", "no program is executed", c.transcript)
    sanitized = b"__asan" in open(INST + "/lib/libposthouse.so", "rb").read()
    t.ok(got.get("ptrace") == ("0" if sanitized else "1"), "no process is traced", c.transcript)
    log = open(inst.dir + "/mail.log").read()
    t.ok(kernel or "no Landlock" in log, "what the kernel lacks is said", log)
shutil.rmtree(out)
sys.exit(t.done())
