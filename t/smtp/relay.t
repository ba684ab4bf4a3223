#!/usr/bin/env -S sh -c 'exec "$(dirname "$0")/runner.py" "$0"'
# Area 10: no relaying for strangers, however the address is written.
# mydestination = here.test, [127.0.0.1] is ours (inet_interfaces), the client (127.0.0.2) is a stranger.
main smtpd_soft_error_limit = 1000
main smtpd_hard_error_limit = 1000

test N-124 plain addresses
client
hello
> MAIL FROM:<spam@out.test>
< 250
denied <u@out.test>
denied u@out.test
denied <u@OUT.test>
denied <u@out.test.>
queue 0

test N-125 percent in front of our domain
client
hello
> MAIL FROM:<spam@out.test>
< 250
denied <u%out.test@here.test>
denied <u%out.test@[127.0.0.1]>
denied <u%out.test@mx.here.test>
queue 0

test N-126 percent without a domain
client
hello
> MAIL FROM:<spam@out.test>
< 250
denied <u%out.test>
queue 0

test N-127 quotes do not hide the inner address
client
hello
> MAIL FROM:<spam@out.test>
< 250
denied <"u@out.test"@here.test>
denied <"u%out.test"@here.test>
queue 0

test N-128 quoted, without a domain
client
hello
> MAIL FROM:<spam@out.test>
< 250
denied <"u@out.test">
denied <"u%out.test">
queue 0

test N-129 two @
client
hello
> MAIL FROM:<spam@out.test>
< 250
denied <u@out.test@here.test>
denied <u@out.test@[127.0.0.1]>
queue 0

test N-130 source routes
client
hello
> MAIL FROM:<spam@out.test>
< 250
denied <@here.test:u@out.test>
denied <@[127.0.0.1]:u@out.test>
queue 0

test N-131 longer source routes
client
hello
> MAIL FROM:<spam@out.test>
< 250
denied <@a,@here.test:u@out.test>
denied <@here.test:u%x@here.test>
queue 0

test N-132 bang paths
client
hello
> MAIL FROM:<spam@out.test>
< 250
denied <out.test!u>
denied <out.test!u@here.test>
denied <out.test!u@[127.0.0.1]>
denied <"out.test!u"@here.test>
queue 0

test N-133 two-way mixes
client
hello
> MAIL FROM:<spam@out.test>
< 250
denied <@here.test:out.test!u%x@here.test>
denied <u%out.test%here.test>
denied <u%out.test!here.test@here.test>
denied <here.test!out.test!u>
denied <"out.test!u%x"@here.test>
denied <@here.test:"u@out.test"@here.test>
denied <@here.test,@out.test:u@out.test>
denied <u!out.test%here.test@here.test>
queue 0

test N-134 address literals
client
hello
> MAIL FROM:<spam@out.test>
< 250
denied <u@[192.0.2.99]>
denied <u@[IPv6:2001:db8::1]>
denied <u@192.0.2.99>
queue 0

test N-135 domains that only look like ours
client
hello
> MAIL FROM:<spam@out.test>
< 250
denied <u@here.test.out.test>
denied <u@xhere.test>
denied <u@.here.test>
queue 0

test N-136 the sender does not open the relay: <>
client
hello
> MAIL FROM:<>
< 250
denied <u@out.test>
denied u@out.test
denied <u@OUT.test>
denied <u@out.test.>
denied <u%out.test@here.test>
denied <u%out.test@[127.0.0.1]>
denied <u%out.test@mx.here.test>
denied <u%out.test>
denied <"u@out.test"@here.test>
denied <"u%out.test"@here.test>
denied <"u@out.test">
denied <"u%out.test">
denied <u@out.test@here.test>
denied <u@out.test@[127.0.0.1]>
denied <@here.test:u@out.test>
denied <@[127.0.0.1]:u@out.test>
denied <@a,@here.test:u@out.test>
denied <@here.test:u%x@here.test>
denied <out.test!u>
denied <out.test!u@here.test>
denied <out.test!u@[127.0.0.1]>
denied <"out.test!u"@here.test>
denied <@here.test:out.test!u%x@here.test>
denied <u@[192.0.2.99]>
denied <u@[IPv6:2001:db8::1]>
denied <u@192.0.2.99>
denied <u@here.test.out.test>
denied <u@xhere.test>
denied <u@.here.test>
denied <u%out.test%here.test>
denied <u%out.test!here.test@here.test>
denied <here.test!out.test!u>
denied <"out.test!u%x"@here.test>
denied <@here.test:"u@out.test"@here.test>
denied <@here.test,@out.test:u@out.test>
denied <u!out.test%here.test@here.test>
queue 0

test N-136 the sender does not open the relay: <u@here.test>
client
hello
> MAIL FROM:<u@here.test>
< 250
denied <u@out.test>
denied u@out.test
denied <u@OUT.test>
denied <u@out.test.>
denied <u%out.test@here.test>
denied <u%out.test@[127.0.0.1]>
denied <u%out.test@mx.here.test>
denied <u%out.test>
denied <"u@out.test"@here.test>
denied <"u%out.test"@here.test>
denied <"u@out.test">
denied <"u%out.test">
denied <u@out.test@here.test>
denied <u@out.test@[127.0.0.1]>
denied <@here.test:u@out.test>
denied <@[127.0.0.1]:u@out.test>
denied <@a,@here.test:u@out.test>
denied <@here.test:u%x@here.test>
denied <out.test!u>
denied <out.test!u@here.test>
denied <out.test!u@[127.0.0.1]>
denied <"out.test!u"@here.test>
denied <@here.test:out.test!u%x@here.test>
denied <u@[192.0.2.99]>
denied <u@[IPv6:2001:db8::1]>
denied <u@192.0.2.99>
denied <u@here.test.out.test>
denied <u@xhere.test>
denied <u@.here.test>
denied <u%out.test%here.test>
denied <u%out.test!here.test@here.test>
denied <here.test!out.test!u>
denied <"out.test!u%x"@here.test>
denied <@here.test:"u@out.test"@here.test>
denied <@here.test,@out.test:u@out.test>
denied <u!out.test%here.test@here.test>
queue 0

test N-136 the sender does not open the relay: <postmaster@[127.0.0.1]>
client
hello
> MAIL FROM:<postmaster@[127.0.0.1]>
< 250
denied <u@out.test>
denied u@out.test
denied <u@OUT.test>
denied <u@out.test.>
denied <u%out.test@here.test>
denied <u%out.test@[127.0.0.1]>
denied <u%out.test@mx.here.test>
denied <u%out.test>
denied <"u@out.test"@here.test>
denied <"u%out.test"@here.test>
denied <"u@out.test">
denied <"u%out.test">
denied <u@out.test@here.test>
denied <u@out.test@[127.0.0.1]>
denied <@here.test:u@out.test>
denied <@[127.0.0.1]:u@out.test>
denied <@a,@here.test:u@out.test>
denied <@here.test:u%x@here.test>
denied <out.test!u>
denied <out.test!u@here.test>
denied <out.test!u@[127.0.0.1]>
denied <"out.test!u"@here.test>
denied <@here.test:out.test!u%x@here.test>
denied <u@[192.0.2.99]>
denied <u@[IPv6:2001:db8::1]>
denied <u@192.0.2.99>
denied <u@here.test.out.test>
denied <u@xhere.test>
denied <u@.here.test>
denied <u%out.test%here.test>
denied <u%out.test!here.test@here.test>
denied <here.test!out.test!u>
denied <"out.test!u%x"@here.test>
denied <@here.test:"u@out.test"@here.test>
denied <@here.test,@out.test:u@out.test>
denied <u!out.test%here.test@here.test>
queue 0

test N-136 the sender does not open the relay: <u@localhost>
client
hello
> MAIL FROM:<u@localhost>
< 250
denied <u@out.test>
denied u@out.test
denied <u@OUT.test>
denied <u@out.test.>
denied <u%out.test@here.test>
denied <u%out.test@[127.0.0.1]>
denied <u%out.test@mx.here.test>
denied <u%out.test>
denied <"u@out.test"@here.test>
denied <"u%out.test"@here.test>
denied <"u@out.test">
denied <"u%out.test">
denied <u@out.test@here.test>
denied <u@out.test@[127.0.0.1]>
denied <@here.test:u@out.test>
denied <@[127.0.0.1]:u@out.test>
denied <@a,@here.test:u@out.test>
denied <@here.test:u%x@here.test>
denied <out.test!u>
denied <out.test!u@here.test>
denied <out.test!u@[127.0.0.1]>
denied <"out.test!u"@here.test>
denied <@here.test:out.test!u%x@here.test>
denied <u@[192.0.2.99]>
denied <u@[IPv6:2001:db8::1]>
denied <u@192.0.2.99>
denied <u@here.test.out.test>
denied <u@xhere.test>
denied <u@.here.test>
denied <u%out.test%here.test>
denied <u%out.test!here.test@here.test>
denied <here.test!out.test!u>
denied <"out.test!u%x"@here.test>
denied <@here.test:"u@out.test"@here.test>
denied <@here.test,@out.test:u@out.test>
denied <u!out.test%here.test@here.test>
queue 0

test N-136 the sender does not open the relay: <u>
client
hello
> MAIL FROM:<u>
< 250
denied <u@out.test>
denied u@out.test
denied <u@OUT.test>
denied <u@out.test.>
denied <u%out.test@here.test>
denied <u%out.test@[127.0.0.1]>
denied <u%out.test@mx.here.test>
denied <u%out.test>
denied <"u@out.test"@here.test>
denied <"u%out.test"@here.test>
denied <"u@out.test">
denied <"u%out.test">
denied <u@out.test@here.test>
denied <u@out.test@[127.0.0.1]>
denied <@here.test:u@out.test>
denied <@[127.0.0.1]:u@out.test>
denied <@a,@here.test:u@out.test>
denied <@here.test:u%x@here.test>
denied <out.test!u>
denied <out.test!u@here.test>
denied <out.test!u@[127.0.0.1]>
denied <"out.test!u"@here.test>
denied <@here.test:out.test!u%x@here.test>
denied <u@[192.0.2.99]>
denied <u@[IPv6:2001:db8::1]>
denied <u@192.0.2.99>
denied <u@here.test.out.test>
denied <u@xhere.test>
denied <u@.here.test>
denied <u%out.test%here.test>
denied <u%out.test!here.test@here.test>
denied <here.test!out.test!u>
denied <"out.test!u%x"@here.test>
denied <@here.test:"u@out.test"@here.test>
denied <@here.test,@out.test:u@out.test>
denied <u!out.test%here.test@here.test>
queue 0

test N-124 N-136 all of them with the default (defer_unauth_destination)
main smtpd_relay_restrictions = permit_mynetworks, permit_sasl_authenticated, defer_unauth_destination
client
hello
> MAIL FROM:<spam@out.test>
< 250
denied <u@out.test>
denied u@out.test
denied <u@OUT.test>
denied <u@out.test.>
denied <u%out.test@here.test>
denied <u%out.test@[127.0.0.1]>
denied <u%out.test@mx.here.test>
denied <u%out.test>
denied <"u@out.test"@here.test>
denied <"u%out.test"@here.test>
denied <"u@out.test">
denied <"u%out.test">
denied <u@out.test@here.test>
denied <u@out.test@[127.0.0.1]>
denied <@here.test:u@out.test>
denied <@[127.0.0.1]:u@out.test>
denied <@a,@here.test:u@out.test>
denied <@here.test:u%x@here.test>
denied <out.test!u>
denied <out.test!u@here.test>
denied <out.test!u@[127.0.0.1]>
denied <"out.test!u"@here.test>
denied <@here.test:out.test!u%x@here.test>
denied <u@[192.0.2.99]>
denied <u@[IPv6:2001:db8::1]>
denied <u@192.0.2.99>
denied <u@here.test.out.test>
denied <u@xhere.test>
denied <u@.here.test>
denied <u%out.test%here.test>
denied <u%out.test!here.test@here.test>
denied <here.test!out.test!u>
denied <"out.test!u%x"@here.test>
denied <@here.test:"u@out.test"@here.test>
denied <@here.test,@out.test:u@out.test>
denied <u!out.test%here.test@here.test>
queue 0

test the texts of a refusal
client
hello
> MAIL FROM:<a@b.test>
< 250
> RCPT TO:<u@out.test>
< 554 5.7.1 <u@out.test>: Relay access denied
log NOQUEUE: reject: RCPT from unknown\[127.0.0.2\]: 554 5.7.1 <u@out.test>: Relay access denied; from=<a@b.test> to=<u@out.test> proto=ESMTP helo=<client.test>

test N-134 our own literal is local
client
hello
> MAIL FROM:<a@b.test>
< 250
taken <alice@[127.0.0.1]>
taken <alice@here.test>

test a client in mynetworks may relay
client from 127.0.0.9
hello
> MAIL FROM:<a@b.test>
< 250
taken <u@out.test>

test N-137 names never match mynetworks
main mynetworks = localhost, client.test, unknown, 127.0.0.9
client
hello
> MAIL FROM:<a@b.test>
< 250
denied <u@out.test>

test N-137 a mapped address is judged as IPv4 (XCLIENT)
main smtpd_authorized_xclient_hosts = 127.0.0.2
main mynetworks = 10.0.0.0/8
client
< 220
> XCLIENT ADDR=IPv6:::ffff:10.0.0.1
< 220
> EHLO x
< 250
> MAIL FROM:<a@b.test>
< 250
taken <u@out.test>

test N-138 OK of an access table in the relay list is obeyed, in another list it does not open the relay
main smtpd_relay_restrictions = check_client_access inline:{127.0.0.3=OK}, reject_unauth_destination
main smtpd_recipient_restrictions = permit
main smtpd_client_restrictions = check_client_access inline:{127.0.0.2=OK}
client from 127.0.0.3
hello
> MAIL FROM:<a@b.test>
< 250
taken <u@out.test>
client
hello
> MAIL FROM:<a@b.test>
< 250
denied <u@out.test>

test N-139 a virtual alias is address text, and gives strangers no relay by their own words
main virtual_alias_maps = inline:{alice@here.test=|cmd, bob@here.test=u%out@here.test}
client
hello
> MAIL FROM:<a@b.test>
< 250
taken <alice@here.test>
taken <bob@here.test>
denied <u%out.test@here.test>
