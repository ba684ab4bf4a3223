/* check_recipient_ns_access.c: look the name servers of the recipient's domain up in an access table. */
#include "common/server_access.h"

SERVER_ACCESS_MODULE("check_recipient_ns_access", "look the name servers of the recipient's domain up in an access table", PH_DNS_NS,
		     ph_session_recipient(s), ph_session_recipient(s), PH_ACCESS_RECIPIENT);
