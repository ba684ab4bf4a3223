/* check_helo_mx_access.c: look the mail exchangers of the HELO name up in an access table. */
#include "common/server_access.h"

SERVER_ACCESS_MODULE("check_helo_mx_access", "look the mail exchangers of the HELO name up in an access table", PH_DNS_MX,
		     ph_session_helo(s), ph_session_helo(s), PH_ACCESS_HELO);
