/* socketmap_reply.c: see socketmap_reply.h. */
#include "socketmap_reply.h"

#include <errno.h>
#include <string.h>

#define MAX_DIGITS 9

int smap_head(const char *p, size_t n, size_t *ret_len, size_t *ret_used)
{
	size_t len = 0;

	for (size_t i = 0; i < n; i++) {
		if (p[i] == ':' && i > 0) {
			*ret_len = len;
			*ret_used = i + 1;
			return 1;
		}
		if (p[i] < '0' || p[i] > '9' || i == MAX_DIGITS)
			return -EPROTO;
		len = len * 10 + (size_t)(p[i] - '0');
	}
	return 0;
}

/* Does the reply begin with word and a blank (or its end)?  *ret_rest: what follows. */
static bool is_word(const char *reply, const char *word, const char **ret_rest)
{
	size_t n = strlen(word);

	if (strncmp(reply, word, n) != 0 || (reply[n] != ' ' && reply[n] != '\0'))
		return false;
	*ret_rest = reply[n] ? reply + n + 1 : reply + n;
	return true;
}

enum ph_lookup smap_reply(const char *reply, const char **ret_text, struct ph_err *err)
{
	const char *rest;

	if (is_word(reply, "OK", ret_text))
		return PH_LOOKUP_FOUND;
	if (is_word(reply, "NOTFOUND", &rest))
		return PH_LOOKUP_NOTFOUND;
	if (is_word(reply, "PERM", &rest)) {
		ph_err_set(err, -EINVAL, "socketmap server permanent error: %.200s", rest);
		return PH_LOOKUP_PERMERR;
	}
	if (is_word(reply, "TEMP", &rest))
		ph_err_set(err, -EAGAIN, "socketmap server temporary error: %.200s", rest);
	else if (is_word(reply, "TIMEOUT", &rest))
		ph_err_set(err, -EAGAIN, "socketmap server timeout: %.200s", rest);
	else
		ph_err_set(err, -EPROTO, "unexpected reply of the socketmap server: \"%.100s\"", reply);
	return PH_LOOKUP_TEMPFAIL;
}
