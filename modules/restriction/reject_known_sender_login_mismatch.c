/* reject_known_sender_login_mismatch.c: refuse sender addresses that others than the client's login own (smtpd_sender_login_maps). */
#include "common/login.h"

LOGIN_MODULE("reject_known_sender_login_mismatch", "refuse sender addresses that others than the client's login own", login_owned(u, s, true));
