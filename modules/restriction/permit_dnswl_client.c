/* permit_dnswl_client.c: accept clients whose address a DNS list names. */
#include "common/dnslist.h"

DNSLIST_PERMIT_MODULE("permit_dnswl_client", "accept clients whose address a DNS list names", dnslist_key_of_addr(s, ph_session_client_addr(s)),
		       ph_session_client_addr(s), "Client host");
