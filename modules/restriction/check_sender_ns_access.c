/* check_sender_ns_access.c: look the name servers of the sender's domain up in an access table. */
#include "common/server_access.h"

SERVER_ACCESS_MODULE("check_sender_ns_access", "look the name servers of the sender's domain up in an access table", PH_DNS_NS,
		     ph_session_sender(s), ph_session_sender(s), PH_ACCESS_SENDER);
