/* reject_rhsbl_helo.c: refuse HELO names that a DNS list names. */
#include "common/dnslist.h"

DNSLIST_REJECT_MODULE("reject_rhsbl_helo", "refuse HELO names that a DNS list names", dnslist_key_of_domain(s, ph_session_helo(s)),
		       ph_session_helo(s), "Helo command");
