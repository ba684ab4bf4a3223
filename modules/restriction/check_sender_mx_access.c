/* check_sender_mx_access.c: look the mail exchangers of the sender's domain up in an access table. */
#include "common/server_access.h"

SERVER_ACCESS_MODULE("check_sender_mx_access", "look the mail exchangers of the sender's domain up in an access table", PH_DNS_MX,
		     ph_session_sender(s), ph_session_sender(s), PH_ACCESS_SENDER);
