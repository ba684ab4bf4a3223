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

# check TEST: one test; prints a line without its number.
check() {
	local out rc limit=180
	case $1 in */t/unit/*) export PH_MODULE_PATH=$B/.libs ;; *) unset PH_MODULE_PATH; limit=300 ;; esac
	out=$(timeout -k 5 "$limit" "$1" 2>&1 < /dev/null); rc=$?
	if [ $rc -eq 0 ] && ! grep -qE '^not ok|ERROR: AddressSanitizer|runtime error:' <<< "$out"; then
		echo "ok - ${1#"$TOP"/}"
	else
		# In one write: others print at the same time.
		out="not ok - ${1#"$TOP"/} (status $rc)
$({ grep -nE '^not ok|ERROR: |runtime error|^    #' <<< "$out" | head -40; tail -n 15 <<< "$out"; } | cut -c1-400 | sed 's/^/# /')"
		printf '%s\n' "${out:0:4000}"
	fi
}
export -f check; export B TOP
{
	for t in "$TOP"/t/crash/cancel.t "$TOP"/t/smtp/*.t; do echo "$t"; done
	find "$B/t/unit" -type f -perm -u+x ! -path '*/.libs/*' | sort
} | xargs -P "${JOBS:-3}" -I{} bash -c 'check {}' | tee "$LOGS/asan-results"
n=$(grep -cE '^(not )?ok' "$LOGS/asan-results")
echo "1..$n"
[ "$n" -gt 0 ] && ! grep -q '^not ok' "$LOGS/asan-results"
