/* permit_rhswl_client.c: accept clients whose name a DNS list names. */
#include "common/dnslist.h"

DNSLIST_PERMIT_MODULE("permit_rhswl_client", "accept clients whose name a DNS list names", dnslist_key_of_domain(s, dnslist_known(ph_session_client_name(s))),
		       ph_session_client_name(s), "Client host");
