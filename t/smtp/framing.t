#!/usr/bin/env -S sh -c 'exec "$(dirname "$0")/runner.py" "$0"'
# Area 1: where lines and messages end.  Clients inside smtpd_forbid_bare_newline_exclusions are from 127.0.0.9.

test N-001 LF . LF is no end of data: the rest is content, the lone dot is dropped
client
hello
mail
> DATA
< 354
>> Subject: x\r\n\r\none\n.\nMAIL FROM:<evil@x.test>\r\nRCPT TO:<bob@here.test>\r\nDATA\r\nsmuggled\r\n.\r\n
< 250 2.0.0 Ok: queued
alive
queue 1
message is one\nMAIL FROM:<evil@x.test>\nRCPT TO:<bob@here.test>\nDATA\nsmuggled\n

test N-002 LF . CRLF is no end of data
client
hello
mail
> DATA
< 354
>> Subject: x\r\n\r\none\n.\r\nMAIL FROM:<evil@x.test>\r\n.\r\n
< 250
alive
queue 1
message is one\nMAIL FROM:<evil@x.test>\n

test N-003 CRLF . LF is no end of data
client
hello
mail
> DATA
< 354
>> Subject: x\r\n\r\none\r\n.\nRSET\r\n.\r\n
< 250
alive
queue 1
message is one\nRSET\n

test N-004 dots between lone CRs are content; the CRs become spaces
client
hello
mail
> DATA
< 354
>> Subject: x\r\n\r\na\r.\rb\r\n.\rc\r\n.\r\n
< 250
alive
queue 1
message is a . b\n c\n

test N-004 CR . LF and CR . CRLF are content
client
hello
mail
> DATA
< 354
>> Subject: x\r\n\r\na\r.\nb\r.\r\nc\r\n.\r\n
< 250
alive
queue 1
message has a .\nb .\nc\n

test N-005 CRLF . CR CR LF is no end of data
client
hello
mail
> DATA
< 354
>> Subject: x\r\n\r\none\r\n.\r\r\nRSET\r\n.\r\n
< 250
alive
queue 1
message has RSET

test N-006 a dot with NUL, space or tab beside it is content
client
hello
mail
> DATA
< 354
>> Subject: x\r\n\r\n.\x00\r\n\x00.\r\n. \r\n.\t\r\nend\r\n.\r\n
< 250
alive
queue 1
message is \x00\n\x00.\n \n\t\nend\n

test N-011 a dot behind a split of a long line is content
client
hello
mail
> DATA
< 354
>> Subject: x\r\n\r\n
>> 2048 * a
>> .b\r\n
>> 2047 * c
>> .\r\n
>> 2049 * d
>> \r\nend\r\n.\r\n
< 250
alive
queue 1
message has a.b\n
message has c.\n
message has d\nend\n

test N-012 the end of data in pieces of one byte
client
hello
mail
> DATA
< 354
>> Subject: x\r\n\r\none
>> \r
>> \n
>> .
>> \r
>> \n
< 250
alive
queue 1
message is one\n

test N-016 content that begins with white space does not continue our Received: header
client
hello
mail
> DATA
< 354
>> \tX-Evil: continuation\r\nmore\r\n.\r\n
< 250
queue 1
message is \tX-Evil: continuation\nmore\n

test N-015 mbox lines in front of the headers are kept as a header
client
hello
mail
> DATA
< 354
>> From someone Thu Jan  1 00:00:00 2015\r\nSubject: x\r\n\r\nbody\r\n.\r\n
< 250
queue 1
message has X-Mailbox-Line: From someone Thu Jan  1 00:00:00 2015\nSubject: x\n

test N-018 the client goes away behind CRLF . CR
client
hello
mail
> DATA
< 354
>> Subject: x\r\n\r\none\r\n.\r
hangup
log lost connection after DATA \(\d+ bytes\) from unknown\[127.0.0.2\]
queue 0

test N-018 the client goes away behind CRLF .
client
hello
mail
> DATA
< 354
>> Subject: x\r\n\r\none\r\n.
reset
log lost connection after DATA
queue 0

test N-009 a client in the exclusion list may end data with LF . LF; its neighbour may not
main smtpd_forbid_bare_newline_exclusions = 127.0.0.9
client from 127.0.0.9
hello
mail
> DATA
< 354
>> Subject: x\n\nfrom a unix tool\n.\n
< 250
queue 1
client from 127.0.0.8
hello
mail
> DATA
< 354
>> Subject: x\n\nfrom a unix tool\n.\nmore\r\n.\r\n
< 250
queue 2

test N-007 reject: a bare LF in the content
main smtpd_forbid_bare_newline = reject
client
hello
mail
> DATA
< 354
>> Subject: x\r\n\r\none\ntwo\r\n.\r\n
< 550 5.5.2 mx.here.test Error: bare <LF> received
log reject: END-OF-MESSAGE from unknown\[127.0.0.2\]: bare <LF> received; from=<sender@client.test> to=<alice@here.test> proto=ESMTP
queue 0

test N-007 reject: a bare LF in a BDAT chunk
main smtpd_forbid_bare_newline = reject
client
hello
mail
>> BDAT 20 LAST\r\nSubject: x\r\n\r\none\nt\n
< 550 5.5.2
queue 0

test N-008 reject: a bare LF behind a command ends the session before the next one is carried out
main smtpd_forbid_bare_newline = reject
client
< 220
>> EHLO x\nMAIL FROM:<a@b.test>\r\n
< 550 5.5.2
closed
log reject: CONNECT from unknown\[127.0.0.2\]: bare <LF> received
log lacks commands=1

test N-007 reject code 450 is used with an enhanced code of its class
main smtpd_forbid_bare_newline = reject
main smtpd_forbid_bare_newline_reject_code = 450
client
< 220
>> EHLO x\n
< 450 4.5.2
closed

test note: bare newlines are told in the disconnect line
main smtpd_forbid_bare_newline = note
client
hello
mail
> DATA
< 354
>> Subject: x\r\n\r\none\n.\ntwo\r\n.\r\n
< 250
> QUIT
< 221
log disconnect from .* notes=bare_lf
queue 1
