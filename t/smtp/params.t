#!/usr/bin/env -S sh -c 'exec "$(dirname "$0")/runner.py" "$0"'
# Area 5: parameters of MAIL and RCPT.
main smtpd_soft_error_limit = 1000
main smtpd_hard_error_limit = 1000

test N-058 SIZE=
client
hello
> MAIL FROM:<a@b.test> SIZE=
< 501 5.5.4 Bad message size syntax
> MAIL FROM:<a@b.test> SIZE=-1
< 501 5.5.4
> MAIL FROM:<a@b.test> SIZE=1x
< 501
> MAIL FROM:<a@b.test> SIZE=12345678901234567890
< 552 5.3.4 Message size exceeds file system imposed limit
> MAIL FROM:<a@b.test> SIZE=9223372036854775808
< 552
> MAIL FROM:<a@b.test> SIZE=9223372036854775807
< 552 5.3.4 Message size exceeds fixed limit
> MAIL FROM:<a@b.test> SIZE=10240001
< 552
> MAIL FROM:<a@b.test> SIZE=10240000
< 250

test N-059 the real size decides
main message_size_limit = 100000
client
hello
> MAIL FROM:<a@b.test> SIZE=1
< 250
taken <alice@here.test>
> DATA
< 354
>> Subject: x\r\n\r\n
>> 4000 * 0123456789012345678901234567890123456789012345678901\r\n
>> .\r\n
< 552 5.3.4
queue 0
alive
mail
data
queue 1

test N-060 too little space
main queue_minfree = 9000000000000000
client
hello
> MAIL FROM:<a@b.test>
< 452 4.3.1 Insufficient system storage
log not enough free space in mail queue

test N-061 ENVID and ORCPT
client
hello
> MAIL FROM:<a@b.test> ENVID=a+00b
< 501 5.5.4 Bad ENVID parameter syntax
> MAIL FROM:<a@b.test> ENVID=a+0Ab
< 501
> MAIL FROM:<a@b.test> ENVID=a+0Db
< 501
> MAIL FROM:<a@b.test> ENVID=a+7Fb
< 501
> MAIL FROM:<a@b.test> ENVID=+
< 501
> MAIL FROM:<a@b.test> ENVID=+G1
< 501
> MAIL FROM:<a@b.test> ENVID=a=b
< 501
> MAIL FROM:<a@b.test> ENVID=
< 501
>> MAIL FROM:<a@b.test> ENVID=
>> 1900 * x
>> \r\n
< 501
> MAIL FROM:<a@b.test> ENVID=a+2Bb
< 250
> RCPT TO:<alice@here.test> ORCPT=rfc822;a+00b@c.test
< 501 5.5.4 Error: Bad ORCPT parameter syntax
> RCPT TO:<alice@here.test> ORCPT=rfc822;a+0Ab@c.test
< 501
> RCPT TO:<alice@here.test> ORCPT=rfc822
< 501
> RCPT TO:<alice@here.test> ORCPT=;x
< 501
> RCPT TO:<alice@here.test> ORCPT=rfc822;
< 501
> RCPT TO:<alice@here.test> ORCPT=rfc822;a+2Bb@x.test
< 250
data
message attr envid=a+b

test N-064 NOTIFY and RET
client
hello
> MAIL FROM:<a@b.test> RET=X
< 501 5.5.4 Bad RET parameter syntax
> MAIL FROM:<a@b.test> RET=FULL RET=HDRS
< 501
> MAIL FROM:<a@b.test> ENVID=a ENVID=b
< 501
> MAIL FROM:<a@b.test> RET=hdrs
< 250
> RCPT TO:<alice@here.test> NOTIFY=NEVER,FAILURE
< 501 5.5.4 Error: Bad NOTIFY parameter syntax
> RCPT TO:<alice@here.test> NOTIFY=SUCCESS,SUCCESS
< 501
> RCPT TO:<alice@here.test> NOTIFY=
< 501
> RCPT TO:<alice@here.test> NOTIFY=bogus
< 501
> RCPT TO:<alice@here.test> NOTIFY=SUCCESS NOTIFY=DELAY
< 501
> RCPT TO:<alice@here.test> ORCPT=rfc822;a@b ORCPT=rfc822;c@d
< 501
> RCPT TO:<alice@here.test> NOTIFY=success,failure,delay
< 250

test N-065 AUTH= of a client that may not assert it
client
hello
> MAIL FROM:<a@b.test> AUTH=<x+0Ay>
< 501
> MAIL FROM:<a@b.test> AUTH=
< 501
> MAIL FROM:<a@b.test> AUTH=x AUTH=y
< (501|503|250)
> RSET
< 250
> MAIL FROM:<a@b.test> AUTH=joe@c.test
< 250
taken <alice@here.test>
data
message attr sasl_sender=None
log lacks sasl_sender

test N-066 odd options
client
hello
> MAIL FROM:<a@b.test> FOO=
< 555 5.5.4 Unsupported option: FOO=
> MAIL FROM:<a@b.test> =FOO
< 555
> MAIL FROM:<a@b.test> "
< 555
> MAIL FROM:<a@b.test> X="
< 555
> MAIL FROM:<a@b.test> \
< 555
> MAIL FROM:<a@b.test> =
< 555
>> MAIL FROM:<a@b.test>
>> 500 *  A=B
>> \r\n
< (555|501)
>> MAIL FROM:<a@b.test>
>> 200 *  SIZE=1
>> \r\n
< 501
alive

test N-067 REQUIRETLS is not offered, and not accepted
client
hello
> MAIL FROM:<a@b.test> REQUIRETLS
< 555 5.5.4 Unsupported option: REQUIRETLS

test debug_peer_list: a client's session in detail, and nobody else's
main debug_peer_list = 127.0.0.3, .nowhere.test
client
hello
mail
log disconnect from|250 2.1.0|connect from
log lacks permit_mynetworks|reject_unauth_destination
client from 127.0.0.3
hello
mail
log permit_mynetworks|reject_unauth_destination
