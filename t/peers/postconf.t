#!/bin/bash
# postconf.t: our postconf against a real one on the same files: what is shown, what is warned about, what an edit leaves behind.
# Where we differ on purpose our own answer is written down below.
set -u
PEER=${PEER_POSTCONF:-/usr/sbin/postconf} OURS=${POSTCONF:-$(command -v postconf)}
n=0 bad=0
ok() { n=$((n + 1)); echo "ok $n - $*"; }
not_ok() { n=$((n + 1)) bad=1; echo "not ok $n - $*"; }
if [ ! -x "$PEER" ] || [ "$("$PEER" -dh mail_name 2>/dev/null)" != Postfix ]; then echo "1..0 # skip no real postconf"; exit 0; fi
D=$(mktemp -d) && trap 'rm -rf "$D"' EXIT
mkdir "$D/peer" "$D/ours" "$D/one"

files() {
	cat > main.cf <<'X'
# top comment
smtpd_recipient_restrictions = permit_mynetworks, check_sender_access hash:/etc/postfix/sender_access_table,
   reject_unauth_destination,
  # comment
	check_policy_service { inet:127.0.0.1:1234, timeout=10s, default_action=DUNNO, policy_context=a_longer_context }
relayhost = [${mydomain}]:25
empty =
unused = x
# in between
long = aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa bbbbbbbbbbbbbbbbbb cccccccccccccccc   ddddddddddddddd
canonical_maps = $long $empty $undef1
alias_maps =
virtual_maps = x

mydestination = first,
   second
# inside
   third
# tail
fallback_transport = x
X
	cat > master.cf <<'X'
# top
smtp inet n - y - - smtpd
# between
submission inet n - n - - smtpd
  -o syslog_name=postfix/submission
# inner
  -o { smtpd_client_restrictions = permit_mynetworks, reject }
  -o smtpd_tls_security_level=encrypt -v
  -o smtpd_relay_restrictions=permit_sasl_authenticated,reject_some_thing_long_name,reject_another_very_long_name
  -o xy=$zz -o bb=$xy
dovecot unix - n n - - pipe
  flags=DRhu user=vmail:vmail argv=/usr/lib/deliver -d ${recipient}
a_very_long_service_name unix-dgram n  -       n       -       1       postlogd
127.0.0.1:10026 inet n - n - 2 smtpd -o smtpd_authorized_xforward_hosts=127.0.0.0/8
smtp unix - - n - - smtp -vv -o a=b -v -D -v -o c=d f g -o h=i
X
}

# one PROGRAM DIR ARGUMENT...: what it prints, warns, leaves behind.
one() {
	local prog=$1 dir=$2; shift 2
	(cd "$D/$dir" && rm -f ./* && files && (exec -a postconf "$prog" -c . "$@") > ../$dir.out 2> ../$dir.err
	 echo "status $?" >> ../$dir.out; sort -u ../$dir.err >> ../$dir.out; cat main.cf master.cf >> ../$dir.out; ls >> ../$dir.out)
}
same() {
	one "$PEER" peer "$@"; one "$OURS" ours "$@"
	if cmp -s "$D/peer.out" "$D/ours.out"; then ok "postconf $*"; else not_ok "postconf $*"; diff "$D/peer.out" "$D/ours.out" | sed 's/^/# /'; fi
}
# is WANTED ARGUMENT...: our output.
is() {
	local want=$1 got; shift
	got=$(cd "$D/one" && "$OURS" -c . "$@" 2>&1)
	if [ "$got" = "$want" ]; then ok "postconf $*: $want"; else not_ok "postconf $*"; printf '# got  %s\n# want %s\n' "$got" "$want"; fi
}

while IFS= read -r line; do
	eval "args=($line)"
	same "${args[@]}"
done <<'X'
-n
-nf
-hn
-Hn
-nx
-M
-Mf
-Mf smtp
-M submission/inet
-M '*/inet'
-M nosuch
-Mx
-P
-Ph
-PH
-Px
-Pf
-P submission
-P submission/inet/syslog_name
-P '*/inet/syslog_name'
-P submission/inet/nosuch
-F
-F smtp
-Ff submission
-F submission/inet/chroot
-F '*/*/chroot'
-Fh smtp/inet/command
-FH smtp/inet
-F smtp/inet/nosuch
-Mh
-MH
-o relayhost=x relayhost
-x -o empty=yy canonical_maps
nosuchparam
nosuch queue_directory nosuch2
-d -n
-n relayhost queue_directory
-d relayhost empty
-C user
-C service
-C foo
-n -C builtin
-x relayhost myhostname
-o x
-d -o a=b
-p relayhost
-C user,builtin relayhost long
-M /
-F a/b/c/d
-P //
-M smtp/foo
-l
-e
-X
-e a
-M -e a=b
-T run-version
-d myhostname mydomain mynetworks smtpd_relay_restrictions
-o mynetworks_style=host mynetworks
-o mynetworks_style=class mynetworks
-o inet_interfaces=loopback-only mynetworks
-o inet_interfaces=127.0.0.1 -o inet_protocols=ipv4 mynetworks
-b
-e 'relayhost = [b]' new2=
relayhost=x
-e 'mydestination = one   two'
-# relayhost mydestination
-# nosuch
-X relayhost mydestination
-X nosuch
-e 'a b=c'
-e '=c'
-e 'a={b c}'
-e 'a='
-X a=b
-e '#a=b'
-X '#a'
-Me 'smtp/inet=smtp inet n - n - 5 smtpd -v -o a=b -o { c = d e }'
-Me 'new/unix=new unix - - n - 0 smtp -v'
-Me 'new/unix=foo unix - - n - 0 smtp -v'
-M 'new/unix=new unix - - n - 0 smtp -v'
-Me 'new=new unix - - n - 0 smtp'
-M# submission/inet
-M# nosuch/inet
-MX submission/inet
-MX submission
-MX '*/inet'
-MX submission/inet smtp/inet
-Fe submission/inet/chroot=n
-F 'submission/inet/command=smtpd -v'
-F 'submission/inet/foo=x'
-F 'nosuch/inet/chroot=n'
-F 'submission/inet/service=587'
-Fe 'submission/inet=x'
-Fe 'submission/inet/chroot=y' submission/inet/private=-
-Pe submission/inet/smtpd_helo_required=yes
-P submission/inet/syslog_name=foo
-PX submission/inet/syslog_name
-PX submission/inet/nosuch
-PX submission/inet/smtpd_client_restrictions submission/inet/syslog_name
-P 'nosuch/inet/a=b'
X

# ---- ours alone ----
cd "$D/one" && printf 'x = a"b\nrelayhost = $x' > main.cf && printf 'smtp inet n - n - - smtpd { a b } c\n# note\nqmgr unix n - n - 1 qmgr\n' > master.cf
is '{"relayhost": "$x"}' -j relayhost
is '{"relayhost": "a\"b"}' -jx relayhost
is 'smtp       inet  n       -       n       -       -       smtpd {a b} c' -M smtp
is '' -Fe smtp/inet/chroot=y
is '' -e y=1
got=$(cat master.cf)
[ "$(sed -n 2p master.cf)" = '# note' ] && ok "a comment stays in front of what it belongs to" || not_ok "comment moved: $got"
[ "$(tail -n 2 main.cf | tr '\n' '|')" = 'relayhost = $x|y = 1|' ] && ok "a missing newline is added" || not_ok "no newline: $(cat main.cf)"
is 'postconf: fatal: master.cf, line 1: bad chroot field "x": expected y, n or -' -Fe smtp/inet/chroot=x
[ ! -e master.cf.tmp ] && ok "nothing is left behind" || not_ok "master.cf.tmp is left behind"
chmod 640 main.cf; mkdir real; mv main.cf real/; ln -s real/main.cf main.cf
"$OURS" -c . -e z=2
[ -L main.cf ] && [ "$(stat -c %a real/main.cf)" = 640 ] && grep -q '^z = 2$' real/main.cf && ok "a symbolic link and the mode are kept" || not_ok "link or mode lost"
for i in 1 2 3 4 5 6 7 8; do "$OURS" -c . -e "p$i=$i" & done; wait
[ "$(grep -c '^p[1-8] = ' real/main.cf)" = 8 ] && ok "eight editors at once lose nothing" || not_ok "lost: $(cat real/main.cf)"
printf 'a = 1\nb\n' > real/main.cf
is "postconf: fatal: ./main.cf, line 2: there is no '=' behind the name; write \"name = value\": \"b\"" -n
rm main.cf
is 'postconf: fatal: open ./main.cf: No such file or directory' -n
echo "1..$n"
exit $bad
