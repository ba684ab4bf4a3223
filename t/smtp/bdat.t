#!/usr/bin/env -S sh -c 'exec "$(dirname "$0")/runner.py" "$0"'
# Area 3: BDAT (RFC 3030).
main smtpd_soft_error_limit = 1000
main smtpd_hard_error_limit = 1000

test N-036 sizes that are no sizes end the session
client
hello
mail
> BDAT -1
< 521 5.5.4 Syntax: BDAT count \[LAST\]
closed
client
hello
mail
> BDAT +5
< 521
closed
client
hello
mail
> BDAT
< 521
closed
client
hello
mail
> BDAT 1e3
< 521
closed
client
hello
mail
> BDAT 0x10
< 521
closed
client
hello
mail
> BDAT 18446744073709551615
< 521
closed
client
hello
mail
> BDAT 12345678901234567890123
< 521
closed
client
hello
mail
> BDAT 9223372036854775807
< 552 5.3.4 Chunk exceeds message size limit
closed
log malformed BDAT command syntax from unknown\[127.0.0.2\]: BDAT -1

test N-036 the sum of chunks cannot overflow
client
hello
mail
>> BDAT 5\r\nhello
< 250 2.0.0 Ok: 5 bytes
> BDAT 9223372036854775803
< 552
closed
queue 0

test N-037 BDAT 0 without LAST
client
hello
mail
> BDAT 0
< 551 5.7.1 Null BDAT request
>> BDAT 3\r\nabc
< 551 5.0.0 Discarded 3 bytes after earlier error
>> BDAT 3 LAST\r\nabc
< 551 5.0.0 Discarded 3 bytes
> BDAT 1 LAST
>> x
< 503 5.5.1
mail
data
queue 1

test N-038 20,000 chunks of one byte
client
hello
mail
>> 20000 * BDAT 1\r\na
>> BDAT 0 LAST\r\n
replies 20000 250
< 250 2.0.0 Ok: 20002 bytes queued as
queue 1
memory < 80

test N-039 more than message_size_limit in one chunk, and in many
main message_size_limit = 10000
client
hello
mail
>> BDAT 12000\r\n
>> 12000 * x
< 552 5.3.4 Chunk exceeds message size limit
> RSET
< 250
mail
>> BDAT 6000\r\n
>> 6000 * x
< 250
>> BDAT 6000\r\n
>> 6000 * x
< 552
>> BDAT 100 LAST\r\n
>> 100 * x
< 551
alive
queue 0
client
hello
mail
> BDAT 100000000 LAST
< 552
closed
queue 0
memory < 80

test N-040 chunks behind refused recipients are skipped by count
client
hello
>> MAIL FROM:<a@b.test>\r\nRCPT TO:<nobody@here.test>\r\nBDAT 12\r\nQUIT\r\nRSET\r\n
< 250
< 550
< 554 5.5.1 Error: no valid recipients
alive

test N-040 they stay in step
client
hello
>> MAIL FROM:<a@b.test>\r\nRCPT TO:<nobody@here.test>\r\nBDAT 6\r\nQUIT\r\nBDAT 6\r\nQUIT\r\nBDAT 6 LAST\r\nQUIT\r\nNOOP\r\n
< 250
< 550
< 554
< 551 5.0.0 Discarded 6 bytes
< 551 5.0.0 Discarded 6 bytes
< 250 2.0.0 Ok
alive
queue 0

test N-041 a chunk is content, whatever it looks like
client
hello
mail
>> BDAT 44 LAST\r\nSubject: x\r\n\r\n.\r\n..\r\nQUIT\r\nMAIL FROM:<a@b>\r\n
< 250 2.0.0 Ok: 44 bytes queued as
alive
queue 1
message is .\n..\nQUIT\nMAIL FROM:<a@b>\n

test N-042 DATA, MAIL, RCPT, STARTTLS and AUTH between chunks
client
hello
mail
>> BDAT 5\r\nabc\r\n
< 250
> DATA
< 503 5.5.1 Error: DATA after BDAT
> MAIL FROM:<x@y.test>
< 503 5.5.1
> RCPT TO:<bob@here.test>
< 503 5.5.1 Error: RCPT after BDAT
> STARTTLS
< 502
> AUTH PLAIN x
< 503
>> BDAT 5 LAST\r\ndef\r\n
< 250 2.0.0 Ok: 10 bytes queued as
queue 1

test N-043 the client goes away within a chunk
client
hello
mail
>> BDAT 10\r\n12345
hangup
log lost connection after BDAT
client
hello
mail
>> BDAT 100 LAST\r\nshort
reset
log lost connection after BDAT
queue 0

test N-045 a chunk without a last line end; one that ends in a lone CR
client
hello
mail
>> BDAT 18 LAST\r\nSubject: x\r\n\r\nbody
< 250
queue 1
message is body\n
mail
>> BDAT 19 LAST\r\nSubject: x\r\n\r\nbody\r
< 250
queue 2

test N-046 CR LF and long lines across chunks
client
hello
mail
>> BDAT 11\r\nSubject: x\r
< 250
>> BDAT 2\r\n\n\r
< 250
>> BDAT 5\r\n\none\r
< 250
>> BDAT 1\r\n\n
< 250
>> BDAT 3000\r\n
>> 3000 * y
< 250
>> BDAT 6 LAST\r\nz\r\nz\r
>> \n
< 250
queue 1
message has Subject: x\n
message has one\ny
message has yz\nz\n

test N-047 CHUNKING switched off
main smtpd_discard_ehlo_keywords = chunking
client
hello
mail
> BDAT 5 LAST
< 521 5.5.1 Error: command not implemented
closed
