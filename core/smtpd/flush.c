/* flush.c: ETRN's request to the queue manager.  Yields. */
#include "smtpd/flush.h"

#include <errno.h>
#include <jansson.h>
#include <stdlib.h>

#include "queue/proto.h"

#define FLUSH_MS 10000

int ph_smtpd_flush_site(const struct ph_conf *conf, const char *site, struct ph_err *err)
{
	json_t *o = json_pack("{s:s, s:s}", "cmd", "flush-site", "site", site);
	char *text = o ? json_dumps(o, JSON_COMPACT) : NULL;
	const char *dir = ph_conf_get(conf, "queue_directory");
	int r;

	if (!text || !dir)
		r = ph_err_set(err, -EINVAL, "no queue directory");
	else
		r = ph_qmgr_ctl(dir, text, NULL, NULL, ph_now_ms() + FLUSH_MS, err);
	free(text);
	json_decref(o);
	return r;
}
