/* check_recipient_mx_access.c: look the mail exchangers of the recipient's domain up in an access table. */
#include "common/server_access.h"

SERVER_ACCESS_MODULE("check_recipient_mx_access", "look the mail exchangers of the recipient's domain up in an access table", PH_DNS_MX,
		     ph_session_recipient(s), ph_session_recipient(s), PH_ACCESS_RECIPIENT);
