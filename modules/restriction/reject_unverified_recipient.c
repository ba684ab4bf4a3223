/* reject_unverified_recipient.c: refuse recipients that mail does not reach. */
#include "common/unverified.h"

UNVERIFIED_MODULE("reject_unverified_recipient", "refuse recipients that mail does not reach", "recipient", ph_session_recipient(s), false);
