#!/usr/bin/env -S sh -c 'exec "$(dirname "$0")/runner.py" "$0"'
# Area 2: commands, their order and their syntax.
main smtpd_soft_error_limit = 1000
main smtpd_hard_error_limit = 1000

test N-019 commands out of order
client
< 220
> RCPT TO:<alice@here.test>
< 503 5.5.1 Error: need MAIL command
> DATA
< 503 5.5.1 Error: need RCPT command
>> BDAT 5 LAST\r\nhello
< 503 5.5.1 Error: need RCPT command
> MAIL FROM:<a@b.test>
< 250
> MAIL FROM:<c@d.test>
< 503 5.5.1 Error: nested MAIL command
> DATA
< 554 5.5.1 Error: no valid recipients
> RCPT TO:<nobody@here.test>
< 550
> DATA
< 554 5.5.1 Error: no valid recipients
> RCPT TO:<alice@here.test>
< 250
data still the same transaction
queue 1
message sender a@b.test

test N-019 smtpd_helo_required
main smtpd_helo_required = yes
client
< 220
> MAIL FROM:<a@b.test>
< 503 5.5.1 Error: send HELO/EHLO first
> HELO x
< 250
> MAIL FROM:<a@b.test>
< 250

test N-020 behind a refusal at the end of data everything begins anew
main smtpd_end_of_data_restrictions = check_sender_access inline:{{bad@b.test=REJECT not you}}
client
hello
> MAIL FROM:<bad@b.test>
< 250
> RCPT TO:<alice@here.test>
< 250
> DATA
< 354
>> x\r\n.\r\n
< 554 5.7.1 <bad@b.test>: Sender address rejected: not you
> RCPT TO:<alice@here.test>
< 503 5.5.1 Error: need MAIL command
> DATA
< 503 5.5.1 Error: need RCPT command
mail
data
queue 1
message sender sender@client.test

test N-022 a failed BDAT, then DATA without a transaction
client
hello
> MAIL FROM:<a@b.test>
< 250
>> BDAT 3 LAST\r\nabc
< 554 5.5.1 Error: no valid recipients
> DATA
< 503 5.5.1 Error: need RCPT command
alive
queue 0

test N-023 VRFY of a UTF-8 address inside a transaction leaves it alone
main strict_smtputf8 = yes
client
hello
mail
> VRFY <u\xc3\xa9@x.test>
< 553 5.6.7 Must declare SMTPUTF8
data
queue 1

test N-024 RSET, EHLO and HELO forget the envelope and its parameters
client
hello
> MAIL FROM:<a@b.test> SMTPUTF8 BODY=8BITMIME ENVID=first RET=HDRS
< 250
> RCPT TO:<alice@here.test> NOTIFY=NEVER
< 250
> RSET
< 250
> DATA
< 503
mail bob@here.test
data second
queue 1
message attr envid=None
message attr ret=None
message attr encoding=
message rcpt bob@here.test
> MAIL FROM:<a@b.test>
< 250
> EHLO again
< 250
> RCPT TO:<alice@here.test>
< 503
> MAIL FROM:<a@b.test>
< 250
> HELO again
< 250
> RCPT TO:<alice@here.test>
< 503

test N-025 a command line of 200 MB: bounded memory, and the session ends
client
< 220
>> 200000000 * x
< 500 5.5.2 mx.here.test Error: command too long
closed
memory < 80

test a line of some more than the limit is refused, the session goes on
client
hello
>> 3000 * x
>> \r\n
< 500 5.5.2 Error: command not recognized
>> MAIL FROM:<
>> 3000 * a
>> @b.test>\r\n
< 500 5.5.2 Error: command too long
> MAIL FROM:<a@b.test>
< 250

test N-026 NUL bytes in commands
client
hello
>> NO\x00OP\r\n
< 500 5.5.2
>> EHLO a\x00b\r\n
< 250
>> MAIL FROM:<a\x00b@c.test>\r\n
< 501 5.1.7
> MAIL FROM:<a@b.test>
< 250
>> RCPT TO:<alice@here.test\x00.out.test>\r\n
< 501 5.1.3
>> RCPT TO:<bob\x00@here.test>\r\n
< 501 5.1.3
>> AUTH PLAIN AG\x00Fs\r\n
< 503
alive
queue 0

test N-027 8-bit and control bytes as commands
main smtpd_forbidden_commands =
client
hello
>> \xff\xfe\r\n
< 500 5.5.2 Error: bad UTF-8 syntax
>> \xc3\xa9\r\n
< 500 5.5.2
>> \x80NOOP\r\n
< 500 5.5.2
>> \x01\x02\r\n
< 500 5.5.2
>> \x7f\r\n
< 500 5.5.2
>> \x1bNOOP\r\n
< 500 5.5.2
alive

test N-028 odd EHLO names are taken, and are harmless in Received:
client
< 220
> EHLO
< 501 Syntax: EHLO hostname
> HELO   
< 501 Syntax: HELO hostname
> EHLO [
< 250
> EHLO []
< 250
> EHLO [IPv6:
< 250
> EHLO [999.1.1.1]
< 250
> EHLO -
< 250
> EHLO a..b
< 250
> EHLO \xc3\xa9.test
< 250
>> EHLO 
>> 300 * h
>> \r\n
< 250
> EHLO a(b)<c>;d"e@f\\g
< 250
mail
data
message has from a?b??c??d?e?f?g (

test N-029 names with shell, printf and template text stay literal
client
hello %s%n%x${run{x}}$(id)`id`
mail
data
message has from %s%n%x${run{x}}$?id?`id`
log client=unknown\[127.0.0.2\]

test N-030 HTTP and TLS in clear text
client
< 220
> GET / HTTP/1.1
< 221 2.7.0 Error: I can break rules, too. Goodbye.
closed
client
< 220
> POST / HTTP/1.1
< 221
closed
client
< 220
> CONNECT x:25 HTTP/1.1
< 221
closed
client
< 220
> Host: mx.here.test
< 221
closed
client
< 220
>> \x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\x0a
< (221|500)
log non-SMTP command from unknown\[127.0.0.2\]: GET / HTTP/1.1

test N-033 commands of old: none works, and ETRN takes only names
client
hello
> DEBUG
< 500
> WIZ
< 500
> TURN
< 500
> SAML FROM:<a@b.test>
< 500
> SEND FROM:<a@b.test>
< 500
> EXPN alice
< 500
> ETRN ;x
< 501
> ETRN a;drop
< 501
> ETRN 'x'
< 501
> ETRN "a"
< 501
> ETRN @x.test
< 459 <x.test>: service unavailable
> ETRN #q.test
< 459
> ETRN
< 500 Syntax: ETRN domain

test N-034 reply text from tables: each line carries the code
main smtpd_sender_restrictions = check_sender_access inline:{{a@b.test=550 5.7.1 one $$ two}, {c@d.test=REJECT x\c y}}
main smtpd_reject_footer = \c; see http://help.test/$$x?c=$client_address
client
hello
> MAIL FROM:<a@b.test>
< 250
> RCPT TO:<alice@here.test>
< 550 5.7.1 <a@b.test>: Sender address rejected: one \$ two; see http://help.test/\$x\?c=127.0.0.2
> RSET
< 250
> MAIL FROM:<c@d.test>
< 250
> RCPT TO:<alice@here.test>
< 554 5.7.1

test smtpd_reject_filter_maps replaces refusals, before the footer, and cannot make them anything else
main smtpd_reject_filter_maps = regexp:{{/^550 5(\.1\.1 .*) in local recipient table$$/ 450 4$$1, later}, {/^503 .*need RCPT/ 250 2.0.0 fine}, {/^501/ 521 5.7.9 away}, {/^500/ 502-5.5.2 no,}}
main smtpd_reject_footer = \c (help)
client
hello
> MAIL FROM:<a@b.test>
< 250
> RCPT TO:<nobody@here.test>
< ^450 4.1.1 <nobody@here.test>: Recipient address rejected: User unknown, later \(help\)$
log NOQUEUE: reject filter in: 550 5.1.1 <nobody@here.test>: Recipient address rejected: User unknown in local recipient table
log NOQUEUE: reject filter out: 450 4.1.1 <nobody@here.test>: Recipient address rejected: User unknown, later
> DATA
< ^554 5.5.1 Error: no valid recipients \(help\)$
> FOO
< ^502 5.5.2 no, \(help\)$
> RSET
< 250
> MAIL FROM:<a@b.test>
< 250
> DATA
< ^554 5.5.1
> RSET
< 250
> DATA
< ^503 5.5.1 Error: need RCPT command \(help\)$
log warning: smtpd_reject_filter_maps: "250 2.0.0 fine" is no 4XX or 5XX reply; the reply stays "503 5.5.1 Error: need RCPT command"
> MAIL FROM:
< ^521 5.7.9 away \(help\)$
closed

test a table of smtpd_reject_filter_maps that fails: nothing is refused for good
main smtpd_reject_filter_maps = fail:down
client
hello
> MAIL FROM:<a@b.test>
< 250
> RCPT TO:<nobody@here.test>
< ^450 4.1.1 <nobody@here.test>: Recipient address rejected: User unknown in local recipient table$
log warning: smtpd_reject_filter_maps: look-up of "550 5.1.1 <nobody@here.test>
> VRFY
< ^401 4.5.4

test N-034 a footer of several lines
main smtpd_reject_footer = first line\nsecond line for $client_address
client
hello
> MAIL FROM:<a@b.test>
< 250
> RCPT TO:<nobody@here.test>
< ^550-5.1.1 <nobody@here.test>: .*\n550-5.1.1 first line\n550 5.1.1 second line for 127.0.0.2$

test N-035 odd right-hand sides of access tables
main smtpd_sender_restrictions = check_sender_access inline:{{a@b.test=5.7.2}, {b@b.test=550}, {c@b.test=550 5.7.1}, {d@b.test=450 5.7.1 x}, {e@b.test=REJECT 4.7.1 x}, {f@b.test=550 5.1.2.3 x}, {g@b.test=550 x}}
client
hello
> MAIL FROM:<a@b.test>
< 250
> RCPT TO:<alice@here.test>
< 451 4.3.5 Server configuration error
> RSET
< 250
> MAIL FROM:<b@b.test>
< 250
> RCPT TO:<alice@here.test>
< 250
> RSET
< 250
> MAIL FROM:<c@b.test>
< 250
> RCPT TO:<alice@here.test>
< 550 5.7.1 <c@b.test>: Sender address rejected: Access denied
> RSET
< 250
> MAIL FROM:<d@b.test>
< 250
> RCPT TO:<alice@here.test>
< 450 4.7.1 <d@b.test>: Sender address rejected: x
> RSET
< 250
> MAIL FROM:<e@b.test>
< 250
> RCPT TO:<alice@here.test>
< 554 5.7.1
> RSET
< 250
> MAIL FROM:<f@b.test>
< 250
> RCPT TO:<alice@here.test>
< 550 5.7.1 <f@b.test>: Sender address rejected: 5.1.2.3 x

test N-031 errors are slowed down from the soft limit on, and end at the hard limit
main smtpd_soft_error_limit = 3
main smtpd_hard_error_limit = 6
main smtpd_error_sleep_time = 1s
client
< 220
> FOO
< 500
> FOO
< 500
> FOO
< 500
> FOO
< 500
> FOO
< 500
> FOO
< 500
< 421 4.7.0 mx.here.test Error: too many errors
closed
log too many errors after UNKNOWN from unknown\[127.0.0.2\]

test N-031 junk commands count as errors behind their limit
main smtpd_junk_command_limit = 3
main smtpd_hard_error_limit = 3
client
< 220
> NOOP
< 250
> RSET
< 250
> NOOP
< 250
> VRFY alice
< 252
> NOOP
< 250
> NOOP
< 250
> NOOP
< 250
< 421 4.7.0

test N-031 delivered mail forgives errors
main smtpd_hard_error_limit = 4
client
hello
> FOO
< 500
> FOO
< 500
> FOO
< 500
mail
data
> FOO
< 500
> FOO
< 500
> FOO
< 500
alive

test N-350 VRFY says what RCPT would, and EXPN nothing; who asks on and on is sent away
main smtpd_hard_error_limit = 3
client
< 220
> VRFY alice@here.test
< 252
> VRFY nobody@here.test
< 550
> EXPN alice
< 50
> VRFY nobody2@here.test
< 550
< 421 4.7.0
closed

test N-350 VRFY that is switched off
main disable_vrfy_command = yes
client
< 220
> VRFY alice@here.test
< 502 5.5.1 VRFY command is disabled
> VRFY nobody@here.test
< 502 5.5.1 VRFY command is disabled

test N-345 a restriction class that names itself
main smtpd_restriction_classes = around
main around = around
main smtpd_recipient_restrictions = around
client
hello
> MAIL FROM:<a@b.test>
< 250
> RCPT TO:<alice@here.test>
< 451 4.3.5 Server configuration error
log restriction class around is defined by itself
