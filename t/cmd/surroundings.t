#!/usr/bin/env python3
"""The commands read no files of whoever calls them (N-245): what libraries look for in the working directory, in HOME and where variables of the
environment point at changes nothing.  Set-gid programs are called by anybody."""
import os
import subprocess
import sys

TOP = os.environ.get("TOP") or os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, TOP + "/t/lib")
from instance import INST, Instance, Tap  # noqa: E402

FILES = {"DB_CONFIG": "set_data_dir /nonexistent\nnot a line of such a file\n", ".pgpass": "x", ".odbc.ini": "[x]", "openssl.cnf": "not [ a configuration",
         "main.cf": "= broken", "resolv.conf": "nonsense", ".my.cnf": "[client\n"}
t = Tap()
inst = Instance()
where = inst.dir + "/here"
os.mkdir(where)
for name, text in FILES.items():
    with open(where + "/" + name, "w") as f:
        f.write(text)
inst.write("table", "key value\n")
ODD = {"HOME": where, "OPENSSL_CONF": where + "/openssl.cnf", "DB_HOME": where, "LTDL_LIBRARY_PATH": where, "PGPASSFILE": where + "/.pgpass", "MYSQL_HOME": where}


def run(argv, here, more, text):
    return subprocess.run([INST + "/sbin/" + argv[0], "-c", inst.etc, *argv[1:]], input=text, capture_output=True, text=True, cwd=here,
                          env=dict(inst.env, MAIL_CONFIG=inst.etc, **more))


with inst:
    for argv in (["postqueue", "-p"], ["postqueue", "-j"], ["postmap", "hash:@/table"], ["postmap", "-q", "key", "hash:@/table"], ["postmap", "-q", "key", "texthash:@/table"],
                 ["postconf", "-h", "myhostname"], ["postlog", "-t", "x", "text"], ["postsuper", "-h", "ALL"]):
        words = [w.replace("@", inst.etc) for w in argv]
        want, got = run(words, "/", {}, ""), run(words, where, ODD, "")
        t.eq((got.returncode, got.stdout, got.stderr), (want.returncode, want.stdout, want.stderr), " ".join(argv) + ": as anywhere else")
        t.ok(want.returncode == 0, "... which is success", want.stderr)
    t.eq(sorted(os.listdir(where)), sorted(FILES), "nothing was written there")
sys.exit(t.done())
