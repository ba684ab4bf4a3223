#!/bin/bash
# fuzz.t: every libFuzzer target for FUZZ_SECONDS each, two at a time, from its small corpus (t/fuzz/corpus/NAME where there is one).
set -u
: "${TOP:=$(cd "$(dirname "$0")/../.." && pwd)}" "${FUZZ_SECONDS:=20}" "${LOGS:=$(mktemp -d)}"
. "$TOP/t/lib.sh"
B=${FUZZ_BUILD:-$TOP/build-fuzz}
mkdir -p "$B" && cd "$B" || exit 1
[ -x "$TOP/configure" ] || (cd "$TOP" && autoreconf -fi) > "$LOGS/fuzz-build" 2>&1
{ [ -f Makefile ] || "$TOP/configure" CC="${FUZZ_CC:-clang}" CFLAGS="-O1 -g" --enable-fuzz --disable-shared --enable-static ||
  "$TOP/configure" CC=clang CFLAGS="-O1 -g" --enable-fuzz; } >> "$LOGS/fuzz-build" 2>&1
if ! make -j"$(nproc)" fuzzers >> "$LOGS/fuzz-build" 2>&1; then
	echo "not ok 1 - the fuzz targets build"; tail -n 30 "$LOGS/fuzz-build" | sed 's/^/# /'; echo 1..1; exit 1
fi
one() {
	local t=$1 name dir corpus
	name=$(basename "$t") dir=$(mktemp -d) corpus=
	[ -d "$TOP/t/fuzz/corpus/$name" ] && corpus=$TOP/t/fuzz/corpus/$name
	[ -d "$TOP/t/fuzz/$name.corpus" ] && corpus=$TOP/t/fuzz/$name.corpus
	if (cd "$dir" && mkdir new && timeout $((FUZZ_SECONDS + 60)) "$B/$t" -max_total_time="$FUZZ_SECONDS" -timeout=10 -rss_limit_mb=1500 \
	    -verbosity=0 -print_final_stats=1 new $corpus > out 2>&1); then
		echo "ok - fuzz $name ($(sed -n 's/^stat::number_of_executed_units: *//p' "$dir/out") runs)"
	else
		echo "not ok - fuzz $name"
		tail -n 40 "$dir/out" | sed 's/^/# /'
		for f in "$dir"/crash-* "$dir"/oom-* "$dir"/timeout-*; do [ -f "$f" ] && { echo "# input (base64):"; base64 "$f" | head -40 | sed 's/^/#   /'; }; done
	fi
	rm -rf "$dir"
}
export -f one; export B TOP FUZZ_SECONDS
list=$(make -s fuzzer-list)
[ -n "$list" ] || { echo "not ok 1 - there are fuzz targets"; echo 1..1; exit 1; }
echo "$list" | tr ' ' '\n' | grep . | xargs -P 2 -I{} bash -c 'one {}' | tee "$LOGS/fuzz-results"
echo "1..$(grep -cE '^(not )?ok' "$LOGS/fuzz-results")"
! grep -q '^not ok' "$LOGS/fuzz-results"
