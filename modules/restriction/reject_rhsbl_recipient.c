/* reject_rhsbl_recipient.c: refuse recipients whose domain a DNS list names. */
#include "common/dnslist.h"

DNSLIST_REJECT_MODULE("reject_rhsbl_recipient", "refuse recipients whose domain a DNS list names", dnslist_key_of_domain(s, dnslist_mail(ph_session_recipient(s))),
		       ph_session_recipient(s), "Recipient address");
