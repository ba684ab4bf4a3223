/* check_sender_a_access.c: look the addresses of the sender's domain up in an access table. */
#include "common/server_access.h"

SERVER_ACCESS_MODULE("check_sender_a_access", "look the addresses of the sender's domain up in an access table", PH_DNS_A,
		     ph_session_sender(s), ph_session_sender(s), PH_ACCESS_SENDER);
