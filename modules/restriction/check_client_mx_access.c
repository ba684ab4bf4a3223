/* check_client_mx_access.c: look the mail exchangers of the client's name up in an access table. */
#include "common/server_access.h"

SERVER_ACCESS_MODULE("check_client_mx_access", "look the mail exchangers of the client's name up in an access table", PH_DNS_MX,
		     ph_session_client_name(s), server_access_client_what(s), PH_ACCESS_CLIENT);
