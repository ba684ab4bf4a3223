/* reject_authenticated_sender_login_mismatch.c: refuse sender addresses that the client's login does not own (smtpd_sender_login_maps). */
#include "common/login.h"

LOGIN_MODULE("reject_authenticated_sender_login_mismatch", "refuse sender addresses that the client's login does not own", login_owned(u, s, false));
