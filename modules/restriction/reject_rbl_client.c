/* reject_rbl_client.c: refuse clients whose address a DNS list names. */
#include "common/dnslist.h"

DNSLIST_REJECT_MODULE("reject_rbl_client", "refuse clients whose address a DNS list names", dnslist_key_of_addr(s, ph_session_client_addr(s)),
		       ph_session_client_addr(s), "Client host");
