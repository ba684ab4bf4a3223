#!/usr/bin/env -S sh -c 'exec "$(dirname "$0")/runner.py" "$0"'
# Area 6: XCLIENT, XFORWARD and the PROXY header.
main smtpd_soft_error_limit = 1000
main smtpd_hard_error_limit = 1000
main smtpd_authorized_xclient_hosts = 127.0.0.9
main smtpd_authorized_xforward_hosts = 127.0.0.9

test N-069 strangers may not
client
< 220
> EHLO x
< 250
> XCLIENT NAME=a.test ADDR=192.0.2.1
< 550 5.7.0 Error: insufficient authorization
> XFORWARD NAME=a.test
< 550 5.7.0

test N-069 they are announced to those who may
client from 127.0.0.9
< 220
> EHLO x
< 250-XCLIENT NAME ADDR PROTO HELO REVERSE_NAME PORT LOGIN DESTADDR DESTPORT
> XFORWARD NAME=a.test ADDR=192.0.2.5
< 250 2.0.0 Ok

test N-070 bad values
client from 127.0.0.9
hello
> XCLIENT
< 501 5.5.4 Syntax: XCLIENT attribute=value...
> XCLIENT NAME=a+0D+0Ab
< 501 5.5.4
> XCLIENT NAME=a+00b
< 501
> XCLIENT NAME=a+zz
< 501 5.5.4 Bad NAME syntax
> XCLIENT NAME=a+20b.test
< 501
> XCLIENT ADDR=1.2.3
< 501 5.5.4 Bad ADDR syntax: 1.2.3
> XCLIENT PROTO=FOO
< 501
> XCLIENT PORT=70000
< 501
> XCLIENT HELO=a+0Db
< 501
> XCLIENT LOGIN=a+0Ab
< 501
>> XCLIENT HELO=
>> 1500 * x
>> \r\n
< 501 5.5.4 Error: attribute value too long
> XCLIENT FOO=bar
< 501 5.5.4 Bad XCLIENT attribute name: FOO
> XCLIENT NAME
< 501 5.5.4 Error: attribute=value expected
> XFORWARD NAME
< 501 5.5.4 Error: attribute=value expected
> XFORWARD IDENT=a+0Ab
< 501
> XFORWARD FOO=x
< 501 5.5.4 Bad XFORWARD attribute name: FOO
alive

test N-070 a good one, and a mapped address
client from 127.0.0.9
hello
> XCLIENT NAME=real.test ADDR=IPv6:::ffff:192.0.2.44 PORT=4321 HELO=inner.test PROTO=ESMTP DESTADDR=192.0.2.1
< 220
> EHLO outer.test
< 250
mail
data
message has from outer.test (real.test [192.0.2.44])
message attr client_port=4321
> RCPT TO:<x@out.test>
< 503
log client=real.test\[192.0.2.44\]

test N-071 in the middle of a transaction, and the login it brings and takes
client from 127.0.0.9
hello
> MAIL FROM:<a@b.test>
< 250
> XCLIENT NAME=x.test
< 503 5.5.1 Error: MAIL transaction in progress
> RSET
< 250
> XCLIENT ADDR=192.0.2.50 LOGIN=joe
< 220
> EHLO x
< 250
> MAIL FROM:<a@b.test>
< 250
taken <u@out.test>
data
log client=unknown\[192.0.2.50\], sasl_method=XCLIENT, sasl_username=joe

test N-071 LOGIN=[UNAVAILABLE]
client from 127.0.0.9
hello
> XCLIENT ADDR=192.0.2.50 LOGIN=[UNAVAILABLE]
< 220
> EHLO x
< 250
> MAIL FROM:<a@b.test>
< 250
denied <u@out.test>

test XFORWARD stands in the log, not in the decision
client from 127.0.0.9
hello
> XFORWARD NAME=orig.test ADDR=192.0.2.60 IDENT=ABC123
< 250
mail
data
log client=unknown\[127.0.0.9\], orig_queue_id=ABC123, orig_client=orig.test\[192.0.2.60\]
mail
data
log client=unknown\[127.0.0.9\]\n

test N-072 PROXY version 1
main smtpd_upstream_proxy_protocol = haproxy
client
>> PROXY TCP4 192.0.2.7 192.0.2.1 1234 25\r\n
hello
mail
data
message has (unknown [192.0.2.7])
client
>> PROXY TCP4 192.0.2.7 192.0.2.1 1234 25\n
< 421 4.3.0 mx.here.test Server local error
closed
client
>> PROXY TCP4 2001:db8::1 192.0.2.1 1234 25\r\n
< 421
closed
client
>> PROXY TCP4 192.0.2.7 192.0.2.1 65536 25\r\n
< 421
closed
client
>> PROXY TCP4 192.0.2.7 192.0.2.1 -1 25\r\n
< 421
closed
client
>> PROXY TCP4 192.0.2.7 192.0.2.1 0025 25\r\n
< 421
closed
client
>> PROXY TCP4 192.0.2.7 192.0.2.1  25 25\r\n
< 421
closed
client
>> PROXY UNKNOWN foo bar\r\n
< 421
closed
client
>> PROXY TCP4 
>> 200 * 1
< 421
closed
client
> EHLO x
< 421
closed
log haproxy read: unrecognized protocol header: EHLO x
noserve

test N-072 PROXY text where the feature is off is a bad command, and the address stays
client
< 220
> PROXY TCP4 127.0.0.9 192.0.2.1 1234 25
< 500
> EHLO x
< 250
> MAIL FROM:<a@b.test>
< 250
denied <u@out.test>

test N-073 PROXY version 2
main smtpd_upstream_proxy_protocol = haproxy
client
>> \r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0c\xc0\x00\x02\x08\xc0\x00\x02\x01\x10\x00\x00\x19
hello
mail
data
message has (unknown [192.0.2.8])
client
>> \r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0f\xc0\x00\x02\x08\xc0\x00\x02\x01\x10\x00\x00\x19\x04\x00\xff
hello
client
>> \r\n\r\n\x00\r\nQUIT\n\x20\x00\x00\x00
hello
mail
data
message has (unknown [127.0.0.2])
client
>> \r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0b\xc0\x00\x02\x08\xc0\x00\x02\x01\x10\x00\x00
< 421
closed
client
>> \r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x00
< 421
closed
client
>> \r\n\r\n\x00\r\nQUIT\n\x21\x11\xff\xff
< 421
closed
client
>> \r\n\r\n\x00\r\nQUIT\n\x31\x11\x00\x0c
< 421
closed
client
>> \r\n\r\n\x00\r\nQUIT\n\x21\x31\x00\x0c\xc0\x00\x02\x08\xc0\x00\x02\x01\x10\x00\x00\x19
< 421
closed
noserve

test N-074 the header in pieces; one that never comes
main smtpd_upstream_proxy_protocol = haproxy
client
>> PRO
>> XY TCP4 192.0.2.7 19
>> 2.0.2.1 1234 25\r
>> \n
hello
client
>> PROXY TCP4
clock +6
< 421 4.3.0
closed
log haproxy read: timeout error
noserve
