/* check_client_a_access.c: look the addresses of the client's name up in an access table. */
#include "common/server_access.h"

SERVER_ACCESS_MODULE("check_client_a_access", "look the addresses of the client's name up in an access table", PH_DNS_A,
		     ph_session_client_name(s), server_access_client_what(s), PH_ACCESS_CLIENT);
