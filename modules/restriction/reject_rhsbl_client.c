/* reject_rhsbl_client.c: refuse clients whose name a DNS list names. */
#include "common/dnslist.h"

DNSLIST_REJECT_MODULE("reject_rhsbl_client", "refuse clients whose name a DNS list names", dnslist_key_of_domain(s, dnslist_known(ph_session_client_name(s))),
		       ph_session_client_name(s), "Client host");
