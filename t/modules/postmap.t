#!/bin/sh
# postmap and postalias beside Postfix's own: the same output, messages and exit status; each reads what the other has made.
# Without an installed Postfix only our side is run.
# shellcheck disable=SC2086
build=${PH_BUILD:-.}
ours="$build/posthouse"
theirs=$(command -v postmap || ls /usr/sbin/postmap 2>/dev/null)
n=0
failed=0

ok() {          # status name
	n=$((n + 1))
	if [ "$1" = 0 ]; then echo "ok $n - $2"; else echo "not ok $n - $2"; failed=1; fi
}
if [ ! -x "$ours" ]; then
	echo "1..0 # SKIP $ours is not built"
	exit 0
fi
if [ -z "$theirs" ]; then
	echo "1..0 # SKIP no Postfix is installed to compare with"
	exit 0
fi
dir=$(mktemp -d) || exit 1
trap 'rm -rf "$dir"' EXIT
cd "$dir" || exit 1
mkdir etc p o
printf 'compatibility_level = 3.6\ndefault_database_type = hash\nqueue_directory = %s/q\n' "$dir" > etc/main.cf

cat > src <<'X'
# comment
a 1
b   two words  
  continued
# inner
  again
"q uoted"@dom  v
"unbal x
nokeyvalue
c: colon
A dup
a dup2
:x y
"a\"b"@d z
d	tab
foo"bar baz"x	1
u+ext@example.com	rhs with  blanks
X
printf '  leading ws\nz 1\n' > src2
printf 'k\377 v\nk2 v\377\nok 1\n' > src3
: > empty
printf 'no newline at end' > src4
cat > al <<'X'
# aliases
root: me
postmaster: root, "|cmd a:b"
"quoted name": x
a@b: y
(comment) list (c): :include:/x/y
nocolon
empty:
Foo\+bar: z (note), w
two: a
 b,
 c
x   y: z
@: @
X
cat > re <<'X'
/unclosed(/ x
/a$99(b)/ x
/(a)b/ $2
/(a)b/ $(1)y$$z ${1}x
!/neg(a)/ $1
/x/q foo
/noresult/
noslash x
/unterminated x
if /cond/
/cond1/ c1
if !/two/
/cond2/ c2
endif
endif
endif
/cond3/x c3
/multi/
  foo
  bar
/zz/ $a
/dd/ $$
/CASE/i exact
/caseless/ yes
|alt/slash| altdelim
#/c/ d
/tail/ x
if /neverclosed/
/abc/ inside
X
cat > ci <<'X'
10.0.0.1/8 hostbits
10.0.0.0/33 bad
::/129 bad
10.0.0.0/8  ten
[2001:db8::]/32 six
2001:db9::/32 sixb
if 192.168.0.0/16
192.168.1.0/24 sub
endif
endif
endif foo
300.1.1.1 bad
noval/8
1.2.3.4
if !1.1.1.1
2.2.2.0/24 two
if 3.3.3.3/32 x
::ffff:1.2.3.0/120 mapped
X
printf 'ab\nnega\ncond1\nxcond2\ncond2two\ncond3\nmulti\nexact\nCASE\nCASELESS\nalt/slash\nzz\ndd\ntail\nneverclosedabc\nabc\n' > rekeys
printf '10.1.1.1\n192.168.1.1\n192.168.2.1\n2001:db8::1\n2001:DB8:0::1\n2001:db9::5\n2.2.2.2\n::ffff:1.2.3.4\n1.2.3.4\nfoo\n10.0.0.0/8\n\n' > cikeys
printf 'a\nzz\nc:\nA\n\n"q uoted"@dom\n' > keys

# Postfix cannot list a cdb table; we can.
list() {
	[ "${2%%:*}" = cdb ] || same "$1" -s "$2"
}

cat > msg <<'X'
From: a@b
Subject: one
  two
X-Empty:
Content-Type: multipart/mixed; boundary="xx"

preamble
--xx
Content-Type: text/plain
X-Part: 1

part body
--xx
Content-Type: message/rfc822

Subject: nested
From: n@n

nested body
not: header
--xx--
epilogue
X
printf 'Subject: a\nnot a header\nX: body\n' > msg2
printf 'Subject: only' > msg3

# same TOOL [-e] ARGS...: run both in a folder each; compare output and status, and with -e messages, too.
same() {
	tool=$1; shift
	messages=no
	if [ "$1" = -e ]; then messages=yes; shift; fi
	for who in p o; do
		for f in src src2 src3 src4 empty al re ci; do [ -e $who/$f ] || cp $f $who/; done
	done
	(cd p && "$(dirname "$theirs")/$tool" -c ../etc "$@" < "${input:-/dev/null}") > p.out 2> p.err; ps=$?
	(cd o && "$ours" $tool -c ../etc "$@" < "${input:-/dev/null}") > o.out 2> o.err; os=$?
	sort p.out > p.sorted; sort o.out > o.sorted
	[ $ps = $os ] && cmp -s p.sorted o.sorted; r=$?
	if [ $messages = yes ]; then cmp -s p.err o.err || r=1; fi
	ok $r "$tool $*${input:+ < ${input##*/}}"
	if [ $r != 0 ]; then
		echo "# status $ps, ours $os"
		diff p.sorted o.sorted | sed 's/^/# /'
		[ $messages = yes ] && diff p.err o.err | sed 's/^/# /'
	fi
	input=
}

for t in hash btree lmdb cdb; do
	e=-e
	for s in src src2 src3 src4 empty; do
		same postmap $e $t:$s
		list postmap $t:$s
	done
	same postmap $t:src
	same postmap -q a $t:src
	same postmap -q A $t:src
	same postmap -fq A $t:src
	same postmap -q zz $t:src
	same postmap -q u+ext@example.com $t:src
	input=$dir/keys same postmap -q - $t:src
	same postmap -r $t:src
	list postmap $t:src
	same postmap -w -e $t:src
	same postmap -f $t:src
	list postmap $t:src
	same postmap -n $t:src
	same postmap -q b $t:src
	same postmap -N $t:src
	same postmap -q b $t:src
	# Crosswise.
	cp p/src.* o/ 2>/dev/null; cp p/src.* x 2>/dev/null
	(cd o && "$ours" postmap -c ../etc -s $t:src) 2>/dev/null | sort > o.out
	(cd p && "$theirs" -c ../etc -s $t:src) 2>/dev/null | sort > p.out
	[ $t = cdb ] && (cd p && "$ours" postmap -c ../etc -s $t:src) 2>/dev/null | sort > p.out
	cmp -s p.out o.out && [ -s o.out ]; ok $? "we read Postfix's $t"
	[ $t = cdb ] || { (cd o && "$ours" postmap -c ../etc $t:src 2>/dev/null && "$theirs" -c ../etc -s $t:src) 2>/dev/null | sort > o.out
	cmp -s p.out o.out; ok $? "Postfix reads our $t"; }
	v=$(cd o && "$theirs" -c ../etc -q b $t:src); [ "$v" = "two words    continued  again" ]; ok $? "postmap -q of Postfix on our $t"
	if [ $t != cdb ]; then
		same postmap -d b $t:src
		same postmap -d b $t:src
		list postmap $t:src
		printf 'k1 v1\nk2 v2\na other\n' > in
		input=$dir/in same postmap -i $t:src
		list postmap $t:src
		input=$dir/in same postmap -i -r $t:src
		list postmap $t:src
		printf 'k1\nnope\n' > in
		input=$dir/in same postmap -d - $t:src
		list postmap $t:src
		rm -f p/fresh.* o/fresh.*
		printf 'k1 v1\n' > in
		input=$dir/in same postmap -i $t:fresh
		same postmap -s $t:fresh
		(cd o && "$theirs" -c ../etc -d k1 $t:fresh); same postmap -q k1 $t:src
	fi
done
same postmap -e -q nosuch hash:nofile
same postmap -e -q nosuch nosuch:nofile
same postmap -q b proxy:hash:src
same postmap -e -q nosuch texthash:nofile
same postmap -e nofile
same postmap -e hash:nofile
same postmap -e regexp:src
same postmap -q a -d b hash:src
same postmap -s texthash:src
same postmap -e -q b texthash:src
same postmap -e -q x 'inline:{a}'
same postmap -q a 'inline:{a=b, {c = d e}}'
same postmap -s 'inline:{a=b, {c = d e}}'
same postmap -q a static:x
same postmap -e -s static:x
same postmap -q a 'static:{ x y }'
same postmap -q a fail:x
same postmap -q a 'unionmap:{static:1, inline:{a=2}}'
same postmap -q a 'pipemap:{inline:{a=b}, inline:{b=c}}'
same postmap -q a 'randmap:{x,x}'
same postmap -q foo 'regexp:{ {/fo(o)/ x$1 y}, {/b/ c} }'
input=$dir/rekeys same postmap -q - regexp:re
input=$dir/rekeys same postmap -q - pcre:re
input=$dir/cikeys same postmap -e -q - cidr:ci

for m in msg msg2 msg3 empty re; do
	for flag in -h -b -hm -bm -hb -hbm; do
		input=$dir/$m same postmap -e $flag -q - static:v
		input=$dir/$m same postmap -e $flag -q - 'regexp:{{/^$/ empty}, {/one/ two}, {/not/ x}}'
	done
done
same postmap -e -h -q x static:v
same postmap -e -m static:v
same postmap -q '' static:v

for t in hash btree lmdb cdb; do
	same postalias $t:al
	same postalias -q 'quoted name' $t:al
	same postalias -q two $t:al
	same postalias -q root $t:al
	input=$dir/keys same postalias -q - $t:al
	[ $t = cdb ] && continue
	(cd p && "$(dirname "$theirs")/postalias" -c ../etc -s $t:al) | grep -v ^YP_ | sort > p.out
	(cd o && "$ours" postalias -c ../etc -s $t:al) | grep -v ^YP_ | sort > o.out
	cmp -s p.out o.out; ok $? "postalias -s $t:al"
	(cd o && "$(dirname "$theirs")/postalias" -c ../etc -s $t:al) | grep -v ^YP_ | sort > o.out
	cmp -s p.out o.out; ok $? "Postfix reads our aliases ($t)"
done
same postalias -e hash:al

# A table that is made anew is there all the time.
(cd o && yes 'key value' | head -n 200000 | awk '{ print $1 NR, $2 }' > big && "$ours" postmap -c ../etc hash:big)
( cd o && for i in 1 2 3; do "$ours" postmap -c ../etc hash:big; done ) &
bg=$!
bad=0
tries=0
while kill -0 $bg 2>/dev/null; do
	tries=$((tries + 1))
	v=$(cd o && "$theirs" -c ../etc -q key77 hash:big 2>/dev/null)
	[ "$v" = value ] || bad=1
done
ok $bad "readers see a whole table while it is made ($tries look-ups)"
[ -z "$(find o -name '*.??????' -newer etc/main.cf)" ]; ok $? "no temporary files are left"
echo "1..$n"
exit $failed
