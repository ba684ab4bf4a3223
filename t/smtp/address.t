#!/usr/bin/env -S sh -c 'exec "$(dirname "$0")/runner.py" "$0"'
# Areas 11 and 12: addresses and UTF-8.
main smtpd_soft_error_limit = 1000
main smtpd_hard_error_limit = 1000
main local_recipient_maps =
main strict_smtputf8 = yes

test N-141 local parts
client
hello
> MAIL FROM:<a@b.test>
< 250
taken <@here.test>
denied <>
> RCPT TO:<"">
< 501
>> RCPT TO:<
>> 1000 * x
>> @here.test>\r\n
< (250|501)
>> RCPT TO:<
>> 1990 * y
>> @here.test>\r\n
< (250|501|500)
memory < 100

test N-142 domains
client
hello
> MAIL FROM:<a@b.test>
< 250
denied <a@b..test>
denied <a@.here.test>
denied <a@-x.here.test>
> MAIL FROM:<a@b..test>
< 503
> RSET
< 250
> MAIL FROM:<a@b..test>
< 501 5.1.7 Bad sender address syntax
> MAIL FROM:<a@.b.test>
< 501 5.1.7
>> MAIL FROM:<a@
>> 300 * a
>> .test>\r\n
< 501
> MAIL FROM:<a@1.2.3.4>
< 501
log Illegal address syntax from unknown\[127.0.0.2\] in MAIL command: <a@b..test>

test N-143 a local part that begins with -
client
hello
> MAIL FROM:<-oQx@here.test>
< 501 5.1.7
> MAIL FROM:<a@b.test>
< 250
> RCPT TO:<-oQx@here.test>
< 501 5.1.3 Bad recipient address syntax

test N-144 encoded words stay what they are
client
hello
> MAIL FROM:<a@b.test>
< 250
taken <=?utf-8?q?u=40out.test=3e?=@here.test>
data
message rcpt =?utf-8?q?u=40out.test=3e?=@here.test

test N-145 quoted specials keep their meaning
client
hello
> MAIL FROM:<"a\"b"@d.test>
< 250
taken <"a b"@here.test>
taken <"a\\\\"@here.test>
> RCPT TO:<"a>b"@here.test>
< (250|501)
> RCPT TO:<"<x@y>"@here.test>
< (250|[45]..)
data
message sender a"b@d.test
message rcpt a b@here.test
message rcpt a\\@here.test

test N-146 comments
client
hello
> MAIL FROM:<a@b.test>
< 250
> RCPT TO:<u(c)@here.test>
< (250|501)
> RCPT TO:<(c)u@here.test>
< (250|501)
>> RCPT TO:<u
>> 900 * (
>> 900 * )
>> @here.test>\r\n
< (250|501)

test N-147 two addresses
client
hello
> MAIL FROM:<a@x.test><b@y.test>
< 501
> MAIL FROM:<a@x.test>,b@y.test
< 501
> MAIL FROM:<a@x.test b@y.test>
< 501
> MAIL FROM:a@x.test:b@y.test;
< 250

test N-148 address literals
client
hello
> MAIL FROM:<a@b.test>
< 250
denied <u@[1.2.3.4>
denied <u@[0x7f.1]>
denied <u@[127.1]>
denied <u@[IPv6:1::2::3]>
denied <u@[300.1.1.1]>
denied <u@[tag:x]>
denied <u@[2001:db8::1]>

test N-149 shell text is a name
main local_recipient_maps = inline:{alice=x}
client
hello
> MAIL FROM:<";rm $IFS -rf"@b.test>
< 250
> RCPT TO:<|cmd@here.test>
< 550 5.1.1
> RCPT TO:<`id`@here.test>
< 550 5.1.1
> RCPT TO:<"$(id)"@here.test>
< 550 5.1.1

test N-150 an address that ends within a quote, a comment or an escape
client
hello
> MAIL FROM:<a@b.test\
< 501
> MAIL FROM:<"a@b.test>
< 501
> MAIL FROM:<a(b@b.test>
< 501
> MAIL FROM:<a@b.test>
< 250
> RCPT TO:<alice@here.test\
< 501
> RCPT TO:<"alice@here.test>
< 501
>> RCPT TO:<alice\xff@here.test>\r\n
< 500 5.5.2

test N-151 extensions
main recipient_delimiter = +
main local_recipient_maps = inline:{alice=x}
client
hello
> MAIL FROM:<a@b.test>
< 250
taken <alice+@here.test>
taken <alice++x@here.test>
taken <alice+../../etc@here.test>
denied <+x@here.test>
denied <bob+alice@here.test>

test N-152 UTF-8 addresses need SMTPUTF8
client
hello
> MAIL FROM:<\xc3\xa9@b.test>
< 553 5.6.7 Must declare SMTPUTF8 to send unicode address
> MAIL FROM:<a@b.test>
< 250
> RCPT TO:<\xc3\xa9@here.test>
< 553 5.6.7
> RSET
< 250
> MAIL FROM:<\xc3\xa9@b.test> SMTPUTF8
< 250
taken <\xc3\xa9@here.test>
data
message has with UTF8SMTP id

test N-153 broken UTF-8
client
hello
>> MAIL FROM:<\xc0\xaf@b.test> SMTPUTF8\r\n
< 500 5.5.2 Error: bad UTF-8 syntax
>> MAIL FROM:<\xed\xa0\x80@b.test> SMTPUTF8\r\n
< 500
>> MAIL FROM:<\xf4\x90\x80\x80@b.test> SMTPUTF8\r\n
< 500
>> MAIL FROM:<\x80@b.test> SMTPUTF8\r\n
< 500
>> MAIL FROM:<a\xe2\x82\r\n
< 500
alive

test N-157 look-alikes of dots do not become dots
client
hello
> MAIL FROM:<a@b.test> SMTPUTF8
< 250
>> RCPT TO:<u@out\xe3\x80\x82here.test>\r\n
< [45]
>> RCPT TO:<u\xef\xbc\xa0here.test@out.test>\r\n
< [45]
>> RCPT TO:<u@here\xc2\xad.test>\r\n
< [245]
queue 0
