#!/bin/bash
# sanitizers.t [build]: the unit tests and the scripted dialogues once more, built with AddressSanitizer and UndefinedBehaviorSanitizer; or only the build.
set -u
: "${TOP:=$(cd "$(dirname "$0")/../.." && pwd)}" "${LOGS:=$(mktemp -d)}"
. "$TOP/t/lib.sh"
B=${ASAN_BUILD:-$TOP/build-asan}
mkdir -p "$B"
build() {
	build_tree "$B" "$LOGS/asan-build" --enable-sanitizers CFLAGS="-O1 -g" && make -C "$B" -j"$(nproc)" check TESTS= >> "$LOGS/asan-build" 2>&1
}
exec 9> "$B/.lock"
flock 9                         # t/run builds aside, before we come here
if [ "${1:-}" = build ]; then build; exit; fi
if ! build; then
	echo "not ok 1 - the sanitizer build"; tail -n 30 "$LOGS/asan-build" | sed 's/^/# /'; echo 1..1; exit 1
fi
exec 9>&-
cd "$B" || exit 1
export srcdir=$TOP BUILD=$B PH_BUILD=$B PH_SRC=$TOP INST=$B/inst
export ASAN_OPTIONS=detect_leaks=${LEAKS:-0}:abort_on_error=1:detect_stack_use_after_return=0 UBSAN_OPTIONS=print_stacktrace=1:halt_on_error=1
export PATH="$INST/sbin:$INST/bin:$PATH"
n=0 bad=0
check() {
	local out
	case $1 in */t/unit/*) export PH_MODULE_PATH=$B/.libs ;; *) unset PH_MODULE_PATH ;; esac
	out=$(timeout -k 5 "${2:-180}" "$1" 2>&1 < /dev/null); local rc=$?
	n=$((n + 1))
	if [ $rc -eq 0 ] && ! grep -qE '^not ok|ERROR: AddressSanitizer|runtime error:' <<< "$out"; then
		echo "ok $n - ${1#"$TOP"/}"
	else
		bad=$((bad + 1)); echo "not ok $n - ${1#"$TOP"/} (status $rc)"
		grep -nE '^not ok|ERROR: |runtime error|^    #' <<< "$out" | head -40 | sed 's/^/# /'; tail -n 15 <<< "$out" | sed 's/^/# /'
	fi
}
for t in $(cd "$B" && find t/unit -type f -perm -u+x ! -path '*/.libs/*' | sort); do check "$B/$t"; done
for t in "$TOP"/t/smtp/*.t "$TOP"/t/crash/cancel.t; do [ -f "$t" ] && check "$t" 300; done
echo "1..$n"
[ $bad -eq 0 ]
