#!/usr/bin/env -S sh -c 'exec "$(dirname "$0")/runner.py" "$0"'
# A table that cannot be asked is a temporary failure of the restriction that asks it, never "no such user" and never a permission; the log names the
# table.  One test for each restriction that takes a table.
main smtpd_delay_reject = yes

test check_client_access
main smtpd_client_restrictions = check_client_access fail:t
deferred fail:t lookup error

test check_reverse_client_hostname_access
main smtpd_client_restrictions = check_reverse_client_hostname_access fail:t
deferred fail:t lookup error

test check_helo_access
main smtpd_helo_restrictions = check_helo_access fail:t
deferred fail:t lookup error

test check_sender_access
main smtpd_sender_restrictions = check_sender_access fail:t
deferred fail:t lookup error

test check_recipient_access
main smtpd_recipient_restrictions = check_recipient_access fail:t
deferred fail:t lookup error

test a bare table
main smtpd_recipient_restrictions = fail:t
deferred fail:t lookup error

test a rule behind warn_if_reject only warns, of its table, too
main smtpd_sender_restrictions = warn_if_reject check_sender_access fail:t
client
< 220
> EHLO a.test
< 250
> MAIL FROM:<a@x.test>
< 250
> RCPT TO:<alice@here.test>
< 250
log fail:t lookup error
log reject_warning: RCPT .* 451 4.3.5 <a@x.test>: Sender address rejected: Server configuration error

test but what it means to permit is no less unknown
main mynetworks = fail:t
main smtpd_sender_restrictions = warn_if_reject permit_mynetworks
client
< 220
> EHLO a.test
< 250
> MAIL FROM:<a@x.test>
< 250
> RCPT TO:<alice@here.test>
< 451 4.3.0 <a@x.test>: Temporary lookup failure
queue 0

test a table with DUNNO before it
main smtpd_recipient_restrictions = check_recipient_access inline:{alice@here.test=DUNNO} check_recipient_access fail:t
deferred fail:t lookup error

test check_sender_mx_access
main smtpd_sender_restrictions = check_sender_mx_access fail:t
deferred from=u@[203.0.113.9] fail:t lookup error

test check_sender_a_access
main smtpd_sender_restrictions = check_sender_a_access fail:t
deferred from=u@[203.0.113.9] fail:t lookup error

test check_recipient_mx_access
main smtpd_relay_restrictions = check_recipient_mx_access fail:t, reject_unauth_destination
deferred to=u@[203.0.113.9] fail:t lookup error

test check_recipient_a_access
main smtpd_relay_restrictions = check_recipient_a_access fail:t, reject_unauth_destination
deferred to=u@[203.0.113.9] fail:t lookup error

test check_helo_mx_access
main smtpd_helo_restrictions = check_helo_mx_access fail:t
deferred helo=[203.0.113.9] fail:t lookup error

test check_helo_a_access
main smtpd_helo_restrictions = check_helo_a_access fail:t
deferred helo=[203.0.113.9] fail:t lookup error

test permit_mynetworks
main mynetworks = fail:t
main smtpd_recipient_restrictions = permit_mynetworks
deferred fail:t

test reject_unauth_destination
main relay_domains = fail:t
main smtpd_relay_restrictions = reject_unauth_destination
deferred to=u@out.test fail:t

test permit_auth_destination
main relay_domains = fail:t
main smtpd_relay_restrictions = permit_auth_destination, reject
deferred to=u@out.test fail:t

test reject_unlisted_recipient
main local_recipient_maps = fail:t
main smtpd_recipient_restrictions = reject_unlisted_recipient
deferred fail:t

test the recipient check at the end of the lists
main local_recipient_maps = fail:t
main smtpd_recipient_restrictions = 
deferred fail:t

test reject_unlisted_sender
main local_recipient_maps = fail:t
main smtpd_sender_restrictions = reject_unlisted_sender
deferred from=nosuch@here.test fail:t

test a table that does not exist
main smtpd_recipient_restrictions = check_recipient_access hash:@ETC@/nosuch
deferred nosuch

test a table type that does not exist
main smtpd_recipient_restrictions = check_recipient_access nosuchtype:x
deferred nosuchtype

test check_etrn_access
main smtpd_etrn_restrictions = check_etrn_access fail:t
main fast_flush_domains = here.test
client
hello
> ETRN here.test
< ^45[01] 4
log fail:t lookup error

test N-233 (its failing database) the verification service is away: no refusal for good, and no permission
main smtpd_recipient_restrictions = reject_unverified_recipient
client
hello
> MAIL FROM:<a@x.test>
< 250
> RCPT TO:<alice@here.test>
< 450 4.1.1 <alice@here.test>: Recipient address rejected: address verification problem
log verify service failure
queue 0

test N-233 the same for senders, and unverified_sender_tempfail_action
main smtpd_sender_restrictions = reject_unverified_sender
main unverified_sender_tempfail_action = defer
client
hello
> MAIL FROM:<a@x.test>
< 250
> RCPT TO:<alice@here.test>
< 450 4.1.7 <a@x.test>: Sender address rejected: address verification problem
queue 0

test a reply filter of a DNS list that is none is a configuration error
main smtpd_client_restrictions = reject_rbl_client bl.test=127.0.0.[2;
client
hello
> MAIL FROM:<a@x.test>
< 250
> RCPT TO:<alice@here.test>
< 451 4.3.5 Server configuration error
log bad number or range in the reply filter
queue 0

test N-138 what is permitted in the relay list is obeyed
main smtpd_relay_restrictions = check_recipient_access inline:{u@out.test=OK}, reject_unauth_destination
client
hello
> MAIL FROM:<a@x.test>
< 250
taken <u@out.test>
denied <v@out.test>

test a dead table: hash
main smtpd_recipient_restrictions = check_recipient_access hash:@ETC@/nosuch
deferred \bhash:

test a dead table: btree
main smtpd_recipient_restrictions = check_recipient_access btree:@ETC@/nosuch
deferred \bbtree:

test a dead table: cdb
main smtpd_recipient_restrictions = check_recipient_access cdb:@ETC@/nosuch
deferred \bcdb:

test a dead table: lmdb
main smtpd_recipient_restrictions = check_recipient_access lmdb:@ETC@/nosuch
deferred \blmdb:

test a dead table: texthash
main smtpd_recipient_restrictions = check_recipient_access texthash:@ETC@/nosuch
deferred \btexthash:

test a dead table: regexp
main smtpd_recipient_restrictions = check_recipient_access regexp:@ETC@/nosuch
deferred \bregexp:

test a dead table: pcre
main smtpd_recipient_restrictions = check_recipient_access pcre:@ETC@/nosuch
deferred \bpcre:

test a dead table: cidr
main smtpd_recipient_restrictions = check_recipient_access cidr:@ETC@/nosuch
deferred \bcidr:

test a dead table: sqlite
file t.cf
  dbpath = @ETC@/nosuch.db
  query = SELECT v FROM t WHERE k = '%s'
main smtpd_recipient_restrictions = check_recipient_access sqlite:@ETC@/t.cf
deferred \bsqlite:

test a dead table: ldap
file t.cf
  server_host = ldap://127.0.0.1:9
  search_base = dc=x
  query_filter = (mail=%s)
  result_attribute = x
  version = 3
main smtpd_recipient_restrictions = check_recipient_access ldap:@ETC@/t.cf
deferred \bldap:

test a dead table: pgsql
file t.cf
  hosts = inet:127.0.0.1:9
  user = u
  password = p
  dbname = d
  query = SELECT v FROM t WHERE k = '%s'
main smtpd_recipient_restrictions = check_recipient_access pgsql:@ETC@/t.cf
deferred \bpgsql:

test a dead table: mysql
file t.cf
  hosts = inet:127.0.0.1:9
  user = u
  password = p
  dbname = d
  query = SELECT v FROM t WHERE k = '%s'
main smtpd_recipient_restrictions = check_recipient_access mysql:@ETC@/t.cf
deferred \bmysql:

test a dead table: mongodb
file t.cf
  uri = mongodb://127.0.0.1:9/?serverSelectionTimeoutMS=500
  dbname = d
  collection = c
  query_filter = {"k": "%s"}
  result_attribute = v
main smtpd_recipient_restrictions = check_recipient_access mongodb:@ETC@/t.cf
deferred \bmongodb:

test a dead table: memcache
file t.cf
  memcache = inet:127.0.0.1:9
  max_try = 1
  retry_pause = 1
main smtpd_recipient_restrictions = check_recipient_access memcache:@ETC@/t.cf
deferred \bmemcache:

test a dead table: redis
file t.cf
  host = 127.0.0.1
  port = 9
main smtpd_recipient_restrictions = check_recipient_access redis:@ETC@/t.cf
deferred \bredis:

test a dead table: socketmap
main smtpd_recipient_restrictions = check_recipient_access socketmap:inet:127.0.0.1:9:name
deferred \bsocketmap:

test a dead table: tcp
main smtpd_recipient_restrictions = check_recipient_access tcp:127.0.0.1:9
deferred \btcp:

test a dead table: proxy
main smtpd_recipient_restrictions = check_recipient_access proxy:hash:@ETC@/nosuch
deferred hash:.*nosuch is unavailable

test a dead table: pipemap
main smtpd_recipient_restrictions = check_recipient_access pipemap:{fail:t}
deferred fail:t

test a dead table: unionmap
main smtpd_recipient_restrictions = check_recipient_access unionmap:{fail:t}
deferred fail:t

test a dead table: debug
main smtpd_recipient_restrictions = check_recipient_access debug:fail:t
deferred fail:t

test a dead table: inline
main smtpd_recipient_restrictions = check_recipient_access inline:{alice}
deferred \binline:

test a dead table: randmap
main smtpd_recipient_restrictions = check_recipient_access randmap:
deferred \brandmap:
