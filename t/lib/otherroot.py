"""otherroot.py: a test that may change the whole machine: it runs in a copy of it that is thrown away.

The copy is an overlay over / in namespaces of its own (mounts, processes, network, names): files that are written, packages that are installed and
processes that are started there end with the test.  install() puts the router's build where a package would have it; the paths that are compiled into
it are links to there.  Root and overlayfs are needed.  Standard library only."""
import ctypes
import os
import shutil
import signal
import subprocess
import sys
import tempfile

TOP = os.environ.get("TOP") or os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
INST = os.path.realpath(os.environ.get("INST", TOP + "/build/inst"))
ENTER = r"""set -e
mount -t tmpfs -o mode=755 tmpfs "$1"
mkdir "$1/upper" "$1/work" "$1/root"
mount -t overlay overlay -o "lowerdir=/,upperdir=$1/upper,workdir=$1/work" "$1/root"
for f in "$2" "$3"; do [ -e "$1/root$f" ] || { mkdir -p "$1/root$f"; mount --rbind "$f" "$1/root$f"; }; done
mount --rbind /dev "$1/root/dev"; mount -t proc proc "$1/root/proc"; mount -t tmpfs tmpfs "$1/root/run"
ip link set lo up
hostname other.test.example
cd "$1/root"; shift 3
exec chroot . env OTHER_ROOT=1 "$@"
"""


def skip(why):
    print("1..0 # SKIP %s" % why)
    sys.exit(0)


def enter():
    """Run this program again in a root of its own, and end with its status.  Returns in there only."""
    if os.environ.get("OTHER_ROOT"):
        return
    if os.geteuid() != 0:
        skip("needs root for its namespaces")
    where = tempfile.mkdtemp(prefix="root.", dir="/var/tmp")
    try:
        stage(where + "-inst")
        p = subprocess.run(["unshare", "-mpfnui", "--kill-child", "--propagation", "private", "sh", "-c", ENTER, "sh", where, TOP, where + "-inst",
                            sys.executable, os.path.abspath(sys.argv[0])], env=dict(os.environ, STAGED=where + "-inst"),
                           preexec_fn=lambda: ctypes.CDLL(None).prctl(1, signal.SIGKILL))      # it dies with us, and all in there with it
    finally:
        os.rmdir(where)
        shutil.rmtree(where + "-inst")
    sys.exit(p.returncode)


def stage(to):
    """What "make install DESTDIR=" would leave there for the prefix /usr."""
    for name in os.listdir(INST):
        if name in ("sbin", "bin", "lib", "libexec", "share", "include"):
            shutil.copytree(INST + "/" + name, to + "/usr/" + name, symlinks=True)
    os.makedirs(to + "/lib/systemd/system")
    with open(to + "/lib/systemd/system/posthouse.service", "w") as f:
        f.write(open(TOP + "/etc/posthouse.service.in").read().replace("@sbindir@", "/usr/sbin"))


def compiled_paths():
    """What the program was built to use are links to where a package has it."""
    assert os.environ.get("OTHER_ROOT"), "not on the machine itself"
    shutil.rmtree(INST, ignore_errors=True)
    os.makedirs(INST)
    for name in ("sbin", "bin", "lib", "libexec", "share", "include"):
        os.symlink("/usr/" + name, INST + "/" + name)
    for name in ("etc", "var"):
        os.symlink("/" + name, INST + "/" + name)


def install():
    """Our programs in the place of Postfix's, without any package."""
    subprocess.run(["cp", "-a", "--remove-destination", os.environ["STAGED"] + "/usr/.", "/usr"], check=True)
    compiled_paths()
    for name in ("postdrop", "postqueue", "postlog"):
        shutil.chown("/usr/sbin/" + name, group="postdrop")
        os.chmod("/usr/sbin/" + name, 0o2755)
