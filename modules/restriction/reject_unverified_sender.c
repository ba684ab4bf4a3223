/* reject_unverified_sender.c: refuse senders that mail does not reach. */
#include "common/unverified.h"

UNVERIFIED_MODULE("reject_unverified_sender", "refuse senders that mail does not reach", "sender", ph_session_sender(s), true);
