# gdb-coroutines.py: look at parked coroutines from gdb (x86_64).
#
#   gdb -p PID -x gdb-coroutines.py      or      gdb PROGRAM CORE -x gdb-coroutines.py
#   (gdb) coroutines          one line each: address, state, what it waits for, name, identity
#   (gdb) coroutines bt       with a back trace of each that is not running
#   (gdb) coroutines bt NAME  only those with this name
#
# In a live process the registers are set for a moment to those that the coroutine has saved.  A core file cannot
# be written to; there the innermost frame alone is shown.
import gdb

STATES = ["ready", "running", "parked", "done"]
MASK = (1 << 64) - 1


def text(value):
    return value.string(errors="replace") if int(value) else ""


def demangle(value, guard):
    """glibc's PTR_DEMANGLE: rotate right by 17, then xor with the thread's guard."""
    value &= MASK
    return ((value >> 17 | value << 47) & MASK) ^ guard


def registers(co, backend):
    """The saved registers of a coroutine that is not running, or None if it has not run yet."""
    switch = co["sw"]
    if not bool(switch["started"]):
        return None
    if backend == "jmp":
        guard = int(gdb.parse_and_eval("*(unsigned long *)($fs_base + 0x30)"))
        raw = switch["u"]["jmp"][0]["__jmpbuf"]
        names = ["rbx", "rbp", "r12", "r13", "r14", "r15", "rsp", "rip"]
        regs = {n: int(raw[i]) & MASK for i, n in enumerate(names)}
        for n in ("rbp", "rsp", "rip"):
            regs[n] = demangle(regs[n], guard)
        return regs
    raw = switch["u"]["uc"]["uc_mcontext"]["gregs"]
    places = {"r12": 4, "r13": 5, "r14": 6, "r15": 7, "rbp": 10, "rbx": 11, "rsp": 15, "rip": 16}
    return {n: int(raw[i]) & MASK for n, i in places.items()}


def all_coroutines():
    head = gdb.parse_and_eval("&'co.c'::all")
    co_type = gdb.lookup_type("struct ph_co")
    offset = [f for f in co_type.fields() if f.name == "all"][0].bitpos // 8
    node = head["next"]
    while int(node) != int(head):
        yield (node.cast(gdb.lookup_type("char").pointer()) - offset).cast(co_type.pointer()).dereference()
        node = node["next"]


def back_trace(regs):
    names = list(regs)
    gdb.execute("frame 0", to_string=True)
    saved = {n: int(gdb.parse_and_eval("(unsigned long)$" + n)) for n in names}
    try:
        for n in names:
            gdb.execute("set $%s = %d" % (n, regs[n]), to_string=True)
    except gdb.error:
        return gdb.execute("frame view %d %d" % (regs["rsp"], regs["rip"]), to_string=True)
    try:
        return gdb.execute("bt 40", to_string=True)
    finally:
        for n in names:
            gdb.execute("set $%s = %d" % (n, saved[n]), to_string=True)


class Coroutines(gdb.Command):
    """List coroutines: coroutines [bt [NAME]]"""

    def __init__(self):
        super().__init__("coroutines", gdb.COMMAND_STACK)

    def invoke(self, argument, from_tty):
        words = argument.split()
        backend = text(gdb.parse_and_eval("'co.c'::ops->name"))
        current = int(gdb.parse_and_eval("'co.c'::current"))
        for co in all_coroutines():
            name = text(co["name"])
            if len(words) > 1 and words[1] != name:
                continue
            ident = "/".join(t for t in (text(co["syslog_name"]), text(co["prog"])) if t)
            print("0x%x %-8s %-14s %s %s%s" % (int(co.address), STATES[int(co["state"])], text(co["what"]), name,
                                            ident, " cancelled" if bool(co["cancelled"]) else ""))
            if words[:1] != ["bt"] or int(co.address) == current:
                continue
            regs = registers(co, backend)
            print("  (not started)" if regs is None else back_trace(regs))


Coroutines()
