/* options.h: smtpd_sasl_security_options and its like, as a set.  Pure. */
#ifndef SASL_COMMON_OPTIONS_H
#define SASL_COMMON_OPTIONS_H

#include <posthouse/base.h>

/* Also the properties of a mechanism. */
enum {
	SASL_NO_PLAINTEXT = 1, SASL_NO_ACTIVE = 2, SASL_NO_DICTIONARY = 4, SASL_NO_ANONYMOUS = 8,       /* wanted: without that weakness */
	SASL_FORWARD_SECRECY = 16, SASL_MUTUAL_AUTH = 32,                                               /* wanted: with that strength */
};
#define SASL_WEAKNESSES (SASL_NO_PLAINTEXT | SASL_NO_ACTIVE | SASL_NO_DICTIONARY | SASL_NO_ANONYMOUS)

/* "noanonymous, noplaintext": 0, or -EINVAL with err that names the bad word. */
int sasl_options_parse(const char *text, unsigned *ret, struct ph_err *err);
/* May a mechanism be used that has these weaknesses and strengths? */
static inline bool sasl_options_allow(unsigned wanted, unsigned has)
{
	unsigned strengths = wanted & ~SASL_WEAKNESSES;

	return !(wanted & has & SASL_WEAKNESSES) && (has & strengths) == strengths;
}
#endif
