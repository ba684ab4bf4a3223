/* verify_entry.c: entries of the address verification cache: their text form and their times.  Pure.  Source: verify(8), postconf(5). */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "queue/verify.h"

#define PROBE_SECONDS 1000      /* a probe that has brought nothing for so long is lost */

int ph_verify_parse(const char *value, struct ph_verify_entry *ret)
{
	struct ph_verify_entry e;
	int64_t n[3];
	const char *p = value;

	for (int i = 0; i < 3; i++) {
		size_t len = strspn(p, "0123456789");
		char text[20];

		if (len == 0 || len >= sizeof(text) || p[len] != ':')
			return -EINVAL;
		memcpy(text, p, len);
		text[len] = '\0';
		if (ph_str_int64(text, 0, INT64_MAX / 1000000, &n[i]) < 0)
			return -EINVAL;
		p += len + 1;
	}
	if (n[0] > PH_VERIFIED_TODO || !*p)
		return -EINVAL;
	e.status = (enum ph_verified)n[0];
	e.probed = n[1];
	e.updated = n[2];
	e.text = p;
	*ret = e;
	return 0;
}

bool ph_verify_expired(const struct ph_verify_entry *e, const struct ph_verify_times *t, int64_t now)
{
	if (e->updated == 0)            /* only a probe, so far */
		return e->probed + PROBE_SECONDS < now;
	return e->updated + (e->status == PH_VERIFIED_OK ? t->positive_expire : t->negative_expire) < now;
}

bool ph_verify_needs_probe(const struct ph_verify_entry *e, const struct ph_verify_times *t, int64_t now)
{
	if (now - e->probed <= PROBE_SECONDS && e->probed > e->updated)
		return false;           /* one is under way */
	return e->updated + (e->status == PH_VERIFIED_OK ? t->positive_refresh : t->negative_refresh) < now;
}
