/* posthouse/sasl.h: authentication back ends (smtpd_sasl_type).
 *
 * Server side: the core speaks AUTH and base64; the module names the mechanisms and takes part in the exchange. */
#ifndef POSTHOUSE_SASL_H
#define POSTHOUSE_SASL_H

#include <posthouse/session.h>
#include <posthouse/module.h>

#ifdef __cplusplus
extern "C" {
#endif

enum ph_sasl_status { PH_SASL_OK, PH_SASL_CONTINUE, PH_SASL_FAIL /* 535 */, PH_SASL_TEMPFAIL /* 454 */, PH_SASL_BADPROTO /* 501 */ };

struct ph_sasl_ops {
	uint32_t size;          /* sizeof(struct ph_sasl_ops) */
	/* A service starts using it.  path: smtpd_sasl_path.  0 and *ret, or negative with err. */
	int (*prepare)(const struct ph_conf *conf, const void *settings, const char *path, void **ret, struct ph_err *err);
	void (*release)(void *use);
	/* Mechanisms for this session, separated by spaces, in the session's arena; negative: the back end is down.  Yields. */
	int (*mechanisms)(void *use, struct ph_session *s, const char **ret, struct ph_err *err);
	/* One exchange.  initial: decoded initial response or p == NULL.  *ret_challenge (decoded) in the session's arena for CONTINUE;
	 * *ret_user for OK; *ret_reason for FAIL and TEMPFAIL (logged).  Yields. */
	enum ph_sasl_status (*start)(void *use, struct ph_session *s, const char *mech, struct ph_slice initial, void **ret_exchange,
				     struct ph_slice *ret_challenge, const char **ret_user, const char **ret_reason);
	enum ph_sasl_status (*step)(void *exchange, struct ph_slice response, struct ph_slice *ret_challenge,
				    const char **ret_user, const char **ret_reason);
	void (*done)(void *exchange);
	/* Client side: an exchange with credentials; NULL where the module only serves.  The same calling sequence.  Not called yet: the client's mechanisms are
	 * built in. */
	enum ph_sasl_status (*client_start)(void *use, const char *mechs, const char *user, const char *password, const char *server,
					    struct ph_arena *arena, void **ret_exchange, const char **ret_mech, struct ph_slice *ret_initial,
					    const char **ret_reason);
	enum ph_sasl_status (*client_step)(void *exchange, struct ph_slice challenge, struct ph_slice *ret_response, const char **ret_reason);
};

#ifdef __cplusplus
}
#endif
#endif
