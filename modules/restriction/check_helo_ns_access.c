/* check_helo_ns_access.c: look the name servers of the HELO name up in an access table. */
#include "common/server_access.h"

SERVER_ACCESS_MODULE("check_helo_ns_access", "look the name servers of the HELO name up in an access table", PH_DNS_NS,
		     ph_session_helo(s), ph_session_helo(s), PH_ACCESS_HELO);
