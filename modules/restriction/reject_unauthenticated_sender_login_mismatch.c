/* reject_unauthenticated_sender_login_mismatch.c: refuse owned sender addresses of clients without a login (smtpd_sender_login_maps). */
#include "common/login.h"

LOGIN_MODULE("reject_unauthenticated_sender_login_mismatch", "refuse owned sender addresses of clients without a login", login_missing(u, s));
