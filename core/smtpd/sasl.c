/* sasl.c: which mechanisms a client is offered.  Yields (it asks the back end). */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "smtpd/session.h"

bool ph_smtpd_sasl_possible(struct ph_session *s)
{
	if (!s->set->sasl_enable || !s->svc->sasl_module || s->svc->standalone)
		return false;
	/* Encryption that is demanded implies smtpd_tls_auth_only. */
	return (!s->set->tls_auth_only && s->svc->tls_level != PH_SMTPD_TLS_ENCRYPT) || ph_stream_tls(s->io);
}

bool ph_smtpd_sasl_offered(struct ph_session *s)
{
	return ph_smtpd_sasl_possible(s) && !ph_smtpd_matches(s, s->svc->sasl_exceptions, "smtpd_sasl_exceptions_networks");
}

/* smtpd_sasl_mechanism_filter: "!external, static:rest". */
static char *filtered(struct ph_session *s, const char *mechs)
{
	char *copy = ph_strdup(mechs), *cursor = copy, *w;
	struct ph_buf out = PH_BUF_INIT(2048);
	char *result;

	while ((w = ph_str_token(&cursor, PH_SEP_LIST))) {
		if (s->svc->sasl_filter && ph_match_find(s->svc->sasl_filter, w, NULL, NULL) != PH_LOOKUP_FOUND)
			continue;
		ph_buf_printf(&out, "%s%s", out.len ? " " : "", w);
	}
	free(copy);
	result = out.len ? ph_strdup(ph_buf_str(&out)) : NULL;
	ph_buf_done(&out);
	return result;
}

int ph_smtpd_sasl_mechs(struct ph_session *s)
{
	const struct ph_sasl_ops *ops = s->svc->sasl_module->ops.sasl;
	struct ph_err err = { 0, "" };
	const char *mechs;
	int r;

	if (s->sasl_mechs)
		return 0;
	r = ops->mechanisms(s->svc->sasl_use, s, &mechs, &err);
	if (r < 0) {
		ph_log(PH_LOG_WARNING, "%s", err.text);
		ph_log(PH_LOG_FATAL, "no SASL authentication mechanisms");
		s->fatal = true;
		return r;
	}
	free(s->sasl_mechs);
	s->sasl_mechs = filtered(s, mechs);
	if (!s->sasl_mechs) {
		ph_log(PH_LOG_FATAL, "no SASL authentication mechanisms");
		s->fatal = true;
		return -ENOENT;
	}
	return 0;
}
