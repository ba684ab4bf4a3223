/* options.c: the words of smtpd_sasl_security_options.  Pure.  Source: postconf(5). */
#include "options.h"

#include <errno.h>
#include <stdlib.h>

int sasl_options_parse(const char *text, unsigned *ret, struct ph_err *err)
{
	static const struct { const char *word; unsigned bit; } words[] = {
		{ "noplaintext", SASL_NO_PLAINTEXT }, { "noactive", SASL_NO_ACTIVE }, { "nodictionary", SASL_NO_DICTIONARY },
		{ "noanonymous", SASL_NO_ANONYMOUS }, { "forward_secrecy", SASL_FORWARD_SECRECY }, { "mutual_auth", SASL_MUTUAL_AUTH },
	};
	char *copy = ph_strdup(text), *cursor = copy, *w;
	unsigned mask = 0;
	size_t i;
	int r = 0;

	while (r == 0 && (w = ph_str_token(&cursor, PH_SEP_LIST))) {
		for (i = 0; i < PH_ARRAY_LEN(words) && !ph_str_ieq(w, words[i].word); i++)
			;
		if (i == PH_ARRAY_LEN(words))
			r = ph_err_set(err, -EINVAL, "unknown SASL security options value \"%.60s\" in \"%.200s\"", w, text);
		else
			mask |= words[i].bit;
	}
	free(copy);
	if (r == 0)
		*ret = mask;
	return r;
}
