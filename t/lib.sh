# lib.sh: what quickstart, t/run and t/bench share: packages and building.  Source me with TOP set to the source tree.

# packages KIND...: the packages of t/packages for these kinds.
packages() {
	local kind
	for kind; do sed -n "s/^$kind: *//p" "$TOP/t/packages"; done | tr '\n' ' '
}

# missing PACKAGE...: those that are not installed.
missing() {
	local p
	for p; do
		dpkg-query -W -f='${Status}' "$p" 2>/dev/null | grep -q '^install ok installed' || printf '%s ' "$p"
	done
}

# need_packages LOG KIND...: install what is missing (root), or say what is missing and go on if nothing is.
need_packages() {
	local log=$1 want; shift
	# shellcheck disable=SC2046
	want=$(missing $(packages "$@"))
	[ -z "$want" ] && return 0
	if [ "$(id -u)" != 0 ]; then
		echo "These packages are missing; install them as root, then run this again:"
		echo "    apt-get install $want"
		return 1
	fi
	# A mail system that a package starts by itself would take port 25: keep it down.
	if [ ! -e /usr/sbin/policy-rc.d ]; then
		printf '#!/bin/sh\nexit 101\n' > /usr/sbin/policy-rc.d && chmod 755 /usr/sbin/policy-rc.d
		trap 'rm -f /usr/sbin/policy-rc.d' RETURN
	fi
	{ apt-get update -q &&
	  echo 'postfix postfix/main_mailer_type select No configuration' | debconf-set-selections &&
	  DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends $want; } >> "$log" 2>&1
}

# build_tree DIR LOG CONFIGURE-ARGUMENT...: configure (once, or when the arguments change) and make and install into DIR/inst.
build_tree() {
	local dir=$1 log=$2 shell=/bin/bash; shift 2
	[ -x /bin/dash ] && shell=/bin/dash     # libtool is a script that runs once an object: half its time is the shell's
	mkdir -p "$dir" || return 1
	if [ ! -x "$TOP/configure" ] || [ "$TOP/configure.ac" -nt "$TOP/configure" ] || [ "$TOP/Makefile.am" -nt "$TOP/Makefile.in" ]; then
		(cd "$TOP" && autoreconf -fi) >> "$log" 2>&1 || return 1
	fi
	if [ ! -f "$dir/Makefile" ] || [ "$(cat "$dir/.configured" 2>/dev/null)" != "$*" ]; then
		(cd "$dir" && CONFIG_SHELL=$shell "$shell" "$TOP/configure" --prefix="$dir/inst" "$@") >> "$log" 2>&1 || return 1
		echo "$*" > "$dir/.configured"
	fi
	make -C "$dir" -j"$(nproc)" >> "$log" 2>&1 && make -C "$dir" install >> "$log" 2>&1
}
