#!/bin/sh
# The example modules, built as a third party would: against an installed posthouse, by pkg-config; then loaded.
src=${PH_SRC:-$(cd "$(dirname "$0")/../.." && pwd)}
build=${PH_BUILD:-$src/build}
examples=$src/doc/examples
n=0
failed=0

ok() {          # status name [file with the reason]
	n=$((n + 1))
	if [ "$1" = 0 ]; then echo "ok $n - $2"; return; fi
	echo "not ok $n - $2"
	failed=1
	[ -n "$3" ] && sed 's/^/# /' "$3"
}

dir=$(mktemp -d) || exit 1
trap 'rm -rf "$dir"' EXIT
if [ -n "$INST" ] && [ -x "$INST/sbin/posthouse" ]; then
	root=
	prefix=$INST
elif [ -x "$build/posthouse" ]; then
	root=$dir/root
	make -s -C "$build" install DESTDIR="$root" > "$dir/log" 2>&1
	ok $? "make install" "$dir/log"
	prefix=$root$(sed -n 's/^prefix=//p' "$build/posthouse.pc")
else
	echo "1..0 # SKIP posthouse is not built"
	exit 0
fi
posthouse=$prefix/sbin/posthouse
export PKG_CONFIG_PATH="$prefix/lib/pkgconfig" PKG_CONFIG_SYSROOT_DIR="$root" LD_LIBRARY_PATH="$prefix/lib"
unset PH_MODULE_PATH
pkg-config --exists posthouse; ok $? "pkg-config knows posthouse"

mkdir "$dir/modules"
for d in "$examples"/*/; do
	kind=$(basename "$d")
	cp -r "$d" "$dir/$kind"
	make -s -C "$dir/$kind" CFLAGS="-O1 -Wall -Wextra -Werror -Wno-unused-parameter -Wno-missing-field-initializers" > "$dir/log" 2>&1
	ok $? "$kind: builds without a warning" "$dir/log"
	[ "$(grep -c . "$dir/$kind/Makefile")" -le 14 ] && [ "$(ls "$d" | wc -l)" = 2 ]; ok $? "$kind: one source file and a short Makefile"
	cp "$dir/$kind"/*.so "$dir/modules/" 2>/dev/null
	so=$(basename "$dir/$kind"/*.so .so)
	! grep -h '#include [<"]' "$d"/*.c | grep -qE 'base/|module/|config/'; ok $? "$kind: uses public headers only"
	PH_MODULE_PATH=$dir/modules "$posthouse" modules > "$dir/list" 2> "$dir/log"
	grep -qE "^$kind +${so#*_} +1\.0 +$dir/modules/$so.so" "$dir/list"; ok $? "$kind: posthouse modules lists ${so#*_}" "$dir/list"
done
PH_MODULE_PATH=$dir/modules "$posthouse" modules --json > "$dir/json" 2> "$dir/log"
python3 - "$dir/json" "$dir/modules" > "$dir/log" 2>&1 <<'X'
import json, sys
mine = [m for m in json.load(open(sys.argv[1])) if m["path"].startswith(sys.argv[2])]
assert len(mine) == 5 and all(m["usable"] and m["abi"].startswith("1.") for m in mine), mine
assert [p["name"] for m in mine if m["kind"] == "restriction" for p in m["parameters"]] == ["helo_prefix_list", "helo_prefix_reject_code"]
X
ok $? "as JSON, with the parameters" "$dir/log"

# A module of another interface version is refused by name of the field, and its code is not run.
cat > "$dir/bad.c" <<'X'
#include <posthouse/lookup.h>
#include <stdio.h>
#undef PH_ABI_MAJOR
#define PH_ABI_MAJOR 9
__attribute__((constructor)) static void run(void) { puts("code was run"); }
PH_MODULE(PH_KIND_LOOKUP, "bad", "1.0", "of another time");
X
cc -std=gnu11 -shared -fPIC $(pkg-config --cflags posthouse) -o "$dir/modules/lookup_bad.so" "$dir/bad.c" > "$dir/log" 2>&1
PH_MODULE_PATH=$dir/modules "$posthouse" modules > "$dir/list" 2>&1
status=$?
grep -q "lookup  *bad  *refused .*abi_major.*9\.[0-9]*.*1\.[0-9]" "$dir/list" && ! grep -q "code was run" "$dir/list" && [ $status = 1 ]
ok $? "a module of interface 9 is refused before its code is run" "$dir/list"

# The look-up module at work.
mkdir "$dir/etc"
echo "compatibility_level = 3.6" > "$dir/etc/main.cf"
got=$(PH_MODULE_PATH=$dir/modules "$posthouse" postmap -c "$dir/etc" -q x 'weekday:{mon tue wed thu fri sat sun}' 2> "$dir/log")
[ "$got" = yes ]; ok $? "postmap asks the example table" "$dir/log"
PH_MODULE_PATH=$dir/modules "$posthouse" postmap -c "$dir/etc" -q x 'weekday:{someday}' > "$dir/log" 2>&1
[ $? = 1 ] && grep -q '"someday" is no day' "$dir/log"; ok $? "and hears its complaint" "$dir/log"
echo "1..$n"
exit $failed
