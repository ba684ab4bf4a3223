/* check_helo_a_access.c: look the addresses of the HELO name up in an access table. */
#include "common/server_access.h"

SERVER_ACCESS_MODULE("check_helo_a_access", "look the addresses of the HELO name up in an access table", PH_DNS_A,
		     ph_session_helo(s), ph_session_helo(s), PH_ACCESS_HELO);
