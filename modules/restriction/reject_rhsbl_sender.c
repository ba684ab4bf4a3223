/* reject_rhsbl_sender.c: refuse senders whose domain a DNS list names. */
#include "common/dnslist.h"

DNSLIST_REJECT_MODULE("reject_rhsbl_sender", "refuse senders whose domain a DNS list names", dnslist_key_of_domain(s, dnslist_mail(ph_session_sender(s))),
		       ph_session_sender(s), "Sender address");
