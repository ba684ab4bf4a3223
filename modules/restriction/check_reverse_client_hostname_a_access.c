/* check_reverse_client_hostname_a_access.c: look the addresses of the client's unverified name up in an access table. */
#include "common/server_access.h"

SERVER_ACCESS_MODULE("check_reverse_client_hostname_a_access", "look the addresses of the client's unverified name up in an access table", PH_DNS_A,
		     ph_session_client_reverse_name(s), ph_session_client_reverse_name(s), PH_ACCESS_REVERSE_CLIENT);
