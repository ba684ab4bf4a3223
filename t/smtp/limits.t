#!/usr/bin/env -S sh -c 'exec "$(dirname "$0")/runner.py" "$0"'
# Area 4: pipelining, deadlines, floods, memory.

test N-048 talking before the greeting
main smtpd_upstream_proxy_protocol = haproxy
client
>> PROXY TCP4 192.0.2.7 192.0.2.1 1234 25\r\nEHLO x\r\nMAIL FROM:<a@b.test>\r\n
< 554 5.5.0 Error: SMTP protocol synchronization
closed
log improper command pipelining after CONNECT from unknown\[192.0.2.7\]: EHLO x\\r\\nMAIL
noserve

test N-048 a HELO client must not pipeline at all
client
< 220
> HELO x
< 250
>> MAIL FROM:<a@b.test>\r\nRCPT TO:<alice@here.test>\r\n
< 554 5.5.0 Error: SMTP protocol synchronization
closed
log improper command pipelining after MAIL from unknown\[127.0.0.2\]: RCPT TO

test N-049 commands behind EHLO, DATA, VRFY and NOOP
client
< 220
>> EHLO x\r\nMAIL FROM:<a@b.test>\r\n
< 554 5.5.0
closed
client
hello
mail
>> DATA\r\nSubject: x\r\n\r\n.\r\n
< 554 5.5.0
closed
queue 0
client
hello
>> VRFY alice\r\nRSET\r\n
< 554
closed
client
hello
>> NOOP\r\nRSET\r\n
< 554
closed
client
hello
>> STARTTLS\r\nRSET\r\n
< 554
closed
client
hello
>> AUTH PLAIN x\r\nRSET\r\n
< 554
closed

test N-049 legal groups: RSET, MAIL, RCPT ..., DATA last
client
hello
>> RSET\r\nMAIL FROM:<a@b.test>\r\nRCPT TO:<alice@here.test>\r\nRCPT TO:<bob@here.test>\r\nDATA\r\n
< 250
< 250
< 250
< 250
< 354
>> Subject: x\r\n\r\nbody\r\n.\r\n
< 250
queue 1

test N-049 the old tolerance is one parameter away
main smtpd_forbid_unauth_pipelining = no
client
< 220
>> EHLO x\r\nMAIL FROM:<a@b.test>\r\n
< 250
< 250 2.1.0
log improper command pipelining after EHLO

test N-050 the next transaction may follow the final dot
client
hello
mail
> DATA
< 354
>> Subject: x\r\n\r\none\r\n.\r\nMAIL FROM:<c@d.test>\r\nRCPT TO:<bob@here.test>\r\nDATA\r\n
< 250 2.0.0 Ok: queued
< 250 2.1.0
< 250 2.1.5
< 354
>> two\r\n.\r\n
< 250
queue 2

test N-051 smtpd_timeout
main smtpd_timeout = 100s
client
hello
> NOOP
< 250
clock +101
< 421 4.4.2 mx.here.test Error: timeout exceeded
closed
log timeout after NOOP from unknown\[127.0.0.2\]

test N-051 a byte now and then does not help with smtpd_per_request_deadline
main smtpd_timeout = 100s
main smtpd_per_request_deadline = yes
client
hello
>> MAI
clock +60
>> L FR
clock +41
< 421 4.4.2
closed
client
hello
mail
> DATA
< 354
>> Subject: x\r\n\r\n
clock +60
>> a
clock +60
< 421 4.4.2
closed
queue 0
log timeout after DATA

test N-052 a client that does not read its replies is given up
main smtpd_timeout = 20s
main smtpd_junk_command_limit = 100000000
client
hello
>> 3000000 * RSET\r\n
until (timeout|lost connection) after
memory < 120

test N-053 connections of one client at a time
main smtpd_client_connection_count_limit = 3
main smtpd_client_event_limit_exceptions = 127.0.0.9
client name a
< 220
client name b
< 220
client name c
< 220
client name d
< 421 4.7.0 mx.here.test Error: too many connections from 127.0.0.2
closed
client name e from 127.0.0.3
< 220
log Connection concurrency limit exceeded: 4 from unknown\[127.0.0.2\] for service smtp
use a
> QUIT
< 221
closed
use b
client name f
< 220

test N-053 IPv6 clients of one network count together
main smtpd_client_connection_count_limit = 2
main smtpd_upstream_proxy_protocol = haproxy
main smtpd_client_event_limit_exceptions =
client name a
>> PROXY TCP6 2001:db8::1 2001:db8::99 1 25\r\n
< 220
client name b
>> PROXY TCP6 2001:db8::2 2001:db8::99 1 25\r\n
< 220
client name c
>> PROXY TCP6 2001:db8:0:0:0:7::3 2001:db8::99 1 25\r\n
< 421 4.7.0
closed
client name d
>> PROXY TCP6 2001:db9::1 2001:db8::99 1 25\r\n
< 220
noserve

test N-054 rates, each one above its limit, and a new time unit
main smtpd_client_connection_rate_limit = 3
main smtpd_client_message_rate_limit = 2
main smtpd_client_recipient_rate_limit = 3
main smtpd_client_event_limit_exceptions = 127.0.0.9
client
hello
mail alice@here.test bob@here.test
data
mail carol@here.test
> RCPT TO:<alice@here.test>
< 450 4.7.1 Error: too many recipients from 127.0.0.2
data
> MAIL FROM:<a@b.test>
< 450 4.7.1 Error: too much mail from 127.0.0.2
client
< 220
client
< 220
client
< 421 4.7.0 mx.here.test Error: too many connections from 127.0.0.2
closed
log Message delivery request rate limit exceeded: 3 from unknown\[127.0.0.2\] for service smtp
log Recipient address rate limit exceeded: 4
log Connection rate limit exceeded: 4
clock +61
client
hello
mail
client from 127.0.0.9
hello
mail
data
mail
data
mail
data
queue 5

test N-055 recipients beyond the limit, and beyond its overshoot
main smtpd_recipient_limit = 10
main smtpd_recipient_overshoot_limit = 20
main smtpd_hard_error_limit = 5
client
hello
> MAIL FROM:<a@b.test>
< 250
>> 10 * RCPT TO:<alice@here.test>\r\n
replies 10 250
>> 20 * RCPT TO:<bob@here.test>\r\n
replies 20 452
>> 4 * RCPT TO:<bob@here.test>\r\n
replies 4 452
data
queue 1
mail
>> 9 * RCPT TO:<alice@here.test>\r\n
replies 9 250
>> 25 * RCPT TO:<bob@here.test>\r\n
replies 25 452
< 421 4.7.0
closed

test N-057 quadratic probes end soon
client
hello
>> MAIL FROM:<
>> 2000 * (
>> @b.test>\r\n
< 50
>> MAIL FROM:<
>> 2000 * "
>> @b.test>\r\n
< [25]
> RSET
< 250
>> MAIL FROM:
>> 2000 * <
>> \r\n
< 50
>> MAIL FROM:<
>> 1000 * a,
>> @b.test>\r\n
< 50
alive

test sessions beyond the service's limit wait for a free place
service small -o smtpd_timeout=50s
main default_process_limit = 2
client name a
< 220
client name b
< 220
client name c
use a
> QUIT
< 221
closed
use c
< 220
noserve
