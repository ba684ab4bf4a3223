#!/usr/bin/env -S sh -c 'exec "$(dirname "$0")/runner.py" "$0"'
# Area 18: policy delegation: hostile values, hostile and dead servers.
main smtpd_policy_service_retry_delay = 1s
main smtpd_recipient_restrictions = check_policy_service @pol@
main smtpd_policy_service_try_limit = 1

test N-226 values cannot make lines of their own
policy pol action=DUNNO\n\n
client
< 220
>> EHLO a.test\x01action=OK\r\n
< 250
>> MAIL FROM:<"a=b\x0baction=OK"@x.test>\r\n
< 250
> RCPT TO:<alice@here.test>
< 250 2.1.5
asked pol has ^sender=a=b.action=OK@x\.test$
asked pol lacks ^action=
asked pol lacks ^$
asked pol has ^helo_name=a\.test.action=OK$

test N-227 an answer without an action
policy pol hello\n\n
client
hello
> MAIL FROM:<a@x.test>
< 250
> RCPT TO:<alice@here.test>
< 451 4.3.5 .*Server configuration problem
log missing attribute action in input from 127.0.0.1
log problem talking to server 127.0.0.1
alive

test N-227 two actions
policy pol action=DUNNO\naction=REJECT\n\n
client
hello
> MAIL FROM:<a@x.test>
< 250
> RCPT TO:<alice@here.test>
< 451 4.3.5
log two actions

test N-227 an empty action
policy pol action=\n\n
client
hello
> MAIL FROM:<a@x.test>
< 250
> RCPT TO:<alice@here.test>
< 451 4.3.5

test N-227 a line without end
policy pol 100000 * x
client
hello
> MAIL FROM:<a@x.test>
< 250
> RCPT TO:<alice@here.test>
< 451 4.3.5
log answer of more than
alive

test N-227 NUL in the action
policy pol action=DUN\0NO\n\n
client
hello
> MAIL FROM:<a@x.test>
< 250
> RCPT TO:<alice@here.test>
< 451 4.3.5

test N-227 the end before the empty line
policy pol action=OK\n
client
hello
> MAIL FROM:<a@x.test>
< 250
> RCPT TO:<alice@here.test>
< 451 4.3.5

test N-227 more than one answer to a question: the connection is not used again
policy pol action=REJECT first\n\naction=OK\n\n | action=REJECT second\n\n
client
hello
> MAIL FROM:<a@x.test>
< 250
> RCPT TO:<alice@here.test>
< 554 .*first
> RCPT TO:<alice@here.test>
< 554 .*second

test N-227 a server that closes idle connections is asked again
main smtpd_policy_service_try_limit = 2
policy pol close | action=REJECT asked again\n\n
client
hello
> MAIL FROM:<a@x.test>
< 250
> RCPT TO:<alice@here.test>
< 554 .*asked again
asked pol times 2

test N-228 unknown verb
policy pol action=NOSUCH thing\n\n
client
hello
> MAIL FROM:<a@x.test>
< 250
> RCPT TO:<alice@here.test>
< 451 4.3.5 Server configuration error
log unknown smtpd restriction: "NOSUCH"

test N-228 PREPEND stays one header
policy pol action=PREPEND X-A: y\\nZ: w\n\n
client
hello
> MAIL FROM:<a@x.test>
< 250
> RCPT TO:<alice@here.test>
< 250
> DATA
< 354
> Subject: x
> 
> body
> .
< 250 2.0.0
message has X-A: y
message lacks (?m)^Z: w

test N-229 nobody is there
main smtpd_recipient_restrictions = check_policy_service inet:127.0.0.1:9
client
hello
> MAIL FROM:<a@x.test>
< 250
> RCPT TO:<alice@here.test>
< 451 4.3.5 .*Server configuration problem
log problem talking to server 127.0.0.1:9: Connection refused

test N-229 a server that hangs costs its time limit, then the default action
main smtpd_recipient_restrictions = check_policy_service { @pol@, timeout=1s, { default_action = 450 4.7.1 come back } }
policy pol hang
client
hello
> MAIL FROM:<a@x.test>
< 250
> RCPT TO:<alice@here.test>
< 450 4.7.1 .*come back
log Connection timed out
alive
client name C2
hello
alive

test N-229 what one use says holds for that use only
main smtpd_client_restrictions = check_policy_service { inet:127.0.0.1:9, default_action = DUNNO }
main smtpd_recipient_restrictions = check_policy_service inet:127.0.0.1:9
client
hello
> MAIL FROM:<a@x.test>
< 250
> RCPT TO:<alice@here.test>
< 451 4.3.5

test settings that cannot be are a configuration error where they stand
main smtpd_recipient_restrictions = check_policy_service { @pol@, timout=3s }
policy pol action=DUNNO\n\n
client
hello
> MAIL FROM:<a@x.test>
< 250
> RCPT TO:<alice@here.test>
< 451 4.3.5 Server configuration error
log unexpected attribute name: "timout=3s"|unexpected attribute name: "timout"
asked pol times 0

test connections are kept, and left after so many requests
main smtpd_recipient_restrictions = check_policy_service { @pol@, request_limit=2, policy_context=ctx }
policy pol action=DUNNO\n\n
client
hello
> MAIL FROM:<a@x.test>
< 250
taken <alice@here.test>
taken <bob@here.test>
taken <carol@here.test>
asked pol times 3
asked pol has ^policy_context=ctx$
asked pol has ^recipient=carol@here\.test$
