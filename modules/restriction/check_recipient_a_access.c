/* check_recipient_a_access.c: look the addresses of the recipient's domain up in an access table. */
#include "common/server_access.h"

SERVER_ACCESS_MODULE("check_recipient_a_access", "look the addresses of the recipient's domain up in an access table", PH_DNS_A,
		     ph_session_recipient(s), ph_session_recipient(s), PH_ACCESS_RECIPIENT);
