#!/usr/bin/env -S sh -c 'exec "$(dirname "$0")/runner.py" "$0"'
# Area 7: TLS on the server's side.
main smtpd_tls_security_level = may
main smtpd_tls_chain_files = @TLS@
main smtpd_tls_loglevel = 1

test N-077 what is pipelined behind STARTTLS never runs
client
hello
>> STARTTLS\r\nMAIL FROM:<evil@x.test>\r\n
< 554 5.5.0 Error: SMTP protocol synchronization
closed

test N-077 nor when pipelining is tolerated
main smtpd_forbid_unauth_pipelining = no
client
hello
>> STARTTLS\r\nMAIL FROM:<evil@x.test>\r\nRSET\r\n
< 220 2.0.0 Ready to start TLS
tlsup
> RCPT TO:<alice@here.test>
< 503 5.5.1 Error: need MAIL command
alive

test N-078 plain text between 220 and the handshake
client
hello
> STARTTLS
< 220
>> MAIL FROM:<evil@x.test>\r\n
closed
log SSL_accept error from unknown\[127.0.0.2\]
log lacks from=<evil

test N-079 the handshake forgets HELO, MAIL and XCLIENT
client
hello first.test
> MAIL FROM:<a@b.test>
< 250
> RCPT TO:<alice@here.test>
< 250
starttls
> RCPT TO:<alice@here.test>
< 503 5.5.1 Error: need MAIL command
> EHLO second.test
< ^(?!.*STARTTLS)250-mx
mail
data
message has from second.test (
message has with ESMTPS id
message lacks first.test

test N-080 STARTTLS twice, and with words
client
hello
> STARTTLS now
< 501 5.5.4 Syntax: STARTTLS
starttls
> STARTTLS
< 554 5.5.1 Error: TLS already active
> EHLO x
< 250
alive

test N-081 a certificate that cannot be loaded
main smtpd_tls_chain_files = @ETC@/none.pem
client
< 220
> EHLO x
< 250-STARTTLS
> STARTTLS
< 454 4.7.0 TLS not available due to local problem
mail
data
queue 1

test N-082 garbage instead of a handshake
client
hello
> STARTTLS
< 220
>> \x16\x03\x01\xff\xff\x01\x00\x00\x00
>> 100 * \x00
log SSL_accept error from unknown\[127.0.0.2\]: -1
hangup
client
hello
> STARTTLS
< 220
>> \x80\x2e\x01\x03\x00\x00\x15\x00\x00
hangup
log SSL_accept error
log lacks smtpd.*fatal

test N-082 a handshake that does not come
main smtpd_starttls_timeout = 20s
client
hello
> STARTTLS
< 220
clock +21
closed
log SSL_accept error from unknown\[127.0.0.2\]: Connection timed out

test N-091 encrypt: nothing but EHLO, HELO, NOOP, QUIT and STARTTLS before
main smtpd_tls_security_level = encrypt
main smtpd_soft_error_limit = 100
client
hello
> NOOP
< 250
> MAIL FROM:<a@b.test>
< 530 5.7.0 Must issue a STARTTLS command first
> RCPT TO:<alice@here.test>
< 530
> VRFY alice
< 530
> AUTH PLAIN x
< 530
> RSET
< 530
> ETRN x.test
< 530
>> BDAT 4 LAST\r\n
< 530
starttls
> EHLO x
< 250
mail
data
queue 1

test N-092 the connection is cut in DATA, without a close-notify
client
hello
starttls
> EHLO x
< 250
mail
> DATA
< 354
>> Subject: x\r\n\r\nhalf a mess
reset
log lost connection after DATA
queue 0

test wrapper mode
service smtps -o smtpd_tls_wrappermode=yes
client tls to smtps
< 220
> EHLO x
< ^(?!.*STARTTLS)250-mx
mail
data
message has with ESMTPS id

test smtpd_tls_received_header
main smtpd_tls_received_header = yes
client
hello
starttls
> EHLO x
< 250
mail
data
message has (using TLSv1.3 with cipher TLS_
message has (No client certificate requested)
log Anonymous TLS connection established from unknown\[127.0.0.2\]: TLSv1.3 with cipher TLS_

test AUTH needs TLS with smtpd_tls_auth_only, and is not announced before (N-111)
main smtpd_sasl_auth_enable = yes
main smtpd_sasl_type = none
main smtpd_tls_auth_only = yes
client
closed
noserve
