/* milter.c: filters that speak the milter protocol, versions 2, 3, 4 and 6: smtpd_milters, smtpd_milter_maps, non_smtpd_milters.
 *
 * The module's descriptor and its operations, which only find the connection and hand over.  Sources: MILTER_README, libmilter/mfdef.h; order of events and
 * log lines as of a running Postfix. */
#include "milter.h"

#include <posthouse/module.h>

#include <stdlib.h>

#define S struct milter_settings
static const struct ph_param params[] = {
	PH_P_TIME(S, connect_ms, "milter_connect_timeout", "30s", 's', 1000, 0, "how long connecting to a milter may take"),
	PH_P_TIME(S, command_ms, "milter_command_timeout", "30s", 's', 1000, 0, "how long a milter may think about an SMTP command"),
	PH_P_TIME(S, content_ms, "milter_content_timeout", "300s", 's', 1000, 0, "how long a milter may think about a piece of content"),
	PH_P_STR1(S, protocol, "milter_protocol", "6", "milter protocol version (2, 3, 4, 6), and no_header_reply"),
	PH_P_STR1(S, default_action, "milter_default_action", "${{$compatibility_level} <level {3.11} ? {tempfail} : {shutdown}}",
		"what happens when a milter cannot be asked: accept, reject, tempfail, quarantine, shutdown"),
	PH_P_STR(S, macro_daemon_name, "milter_macro_daemon_name", "$myhostname", "the {daemon_name} macro"),
	PH_P_STR(S, macro_v, "milter_macro_v", "$mail_name $mail_version", "the v macro"),
	PH_P_STR(S, macro_defaults, "milter_macro_defaults", "", "values of macros that have none: name=value ..."),
	PH_P_STR(S, macros[MILTER_CONNECT], "milter_connect_macros", "j {daemon_name} {daemon_addr} v _", "macros at connect"),
	PH_P_STR(S, macros[MILTER_HELO], "milter_helo_macros", "{tls_version} {cipher} {cipher_bits} {cert_subject} {cert_issuer}", "macros with HELO"),
	PH_P_STR(S, macros[MILTER_MAIL], "milter_mail_macros", "i {auth_type} {auth_authen} {auth_author} {mail_addr} {mail_host} {mail_mailer}",
		 "macros with MAIL"),
	PH_P_STR(S, macros[MILTER_RCPT], "milter_rcpt_macros", "i {rcpt_addr} {rcpt_host} {rcpt_mailer}", "macros with RCPT"),
	PH_P_STR(S, macros[MILTER_DATA], "milter_data_macros", "i", "macros with DATA"),
	PH_P_STR(S, macros[MILTER_EOM], "milter_end_of_data_macros", "i", "macros with the body and the end of a message"),
	PH_P_STR(S, macros[MILTER_EOH], "milter_end_of_header_macros", "i", "macros with headers and their end"),
	PH_P_STR(S, macros[MILTER_UNKNOWN], "milter_unknown_command_macros", "", "macros with unknown commands"),
	PH_P_STR(S, myhostname, "myhostname", "", "the internet hostname of this mail system"),
	PH_P_BOOL(S, soft_bounce, "soft_bounce", "no", "turn 5xx into 4xx"),
};
#undef S

static int prepare(const struct ph_conf *conf, const void *settings, const char *arg, void **ret, struct ph_err *err)
{
	struct milter_service *s;
	int r = milter_service_new(conf, settings, arg, &s, err);

	if (r == 0)
		*ret = s;
	return r;
}

static void release(void *use)
{
	milter_service_free(use);
}

static int open_object(void *use, struct ph_session *s, void **ret, struct ph_err *err)
{
	struct milter *c = ph_alloc(sizeof(*c));

	c->svc = use;
	c->s = s;
	ph_buf_init(&c->out, MILTER_OUT_MAX);
	ph_buf_init(&c->in, MILTER_REPLY_MAX);
	*ret = c;
	return 0;
}

static void close_object(void *obj)
{
	struct milter *c = obj;

	if (c->io && c->helo_seen)
		milter_end(&c->out, milter_begin(&c->out, SMFIC_ABORT));
	milter_hangup(c, true);
	for (int i = 0; i < MILTER_STAGES; i++)
		milter_words_free(c->macros[i]);
	free(c->reply_text);
	free(c);
}

static struct ph_verdict on_connect(void *obj, struct ph_session *s) { return milter_connect(obj); }
static struct ph_verdict on_helo(void *obj, struct ph_session *s) { return milter_helo(obj); }
static struct ph_verdict on_mail(void *obj, struct ph_session *s) { return milter_mail(obj); }
static struct ph_verdict on_rcpt(void *obj, struct ph_session *s) { return milter_rcpt(obj); }
static struct ph_verdict on_data(void *obj, struct ph_session *s) { return milter_data(obj); }
static struct ph_verdict on_unknown(void *obj, struct ph_session *s, const char *command) { return milter_unknown(obj, command); }
static void on_abort(void *obj) { milter_abort(obj); }
static void on_restart(void *obj) { milter_restart(obj); }

/* The filter hears of refused recipients only where it asked for that; it cannot change anything. */
static void on_rcpt_rejected(void *obj, struct ph_session *s, const char *reply)
{
	struct milter *c = obj;

	if (!(c->protocol & SMFIP_RCPT_REJ))
		return;
	c->rejected = reply;
	milter_rcpt(c);
	c->rejected = NULL;
}

static struct ph_verdict on_end_of_message(void *obj, struct ph_mail *m)
{
	struct milter *c = obj;
	struct ph_verdict v;

	c->m = m;
	v = milter_message(c);
	c->m = NULL;
	return v;
}

static const struct ph_filter_ops ops = {
	.size = sizeof(ops), .prepare = prepare, .release = release, .open = open_object, .close = close_object, .connect = on_connect, .helo = on_helo,
	.mail = on_mail, .rcpt = on_rcpt, .data = on_data, .end_of_message = on_end_of_message, .abort = on_abort, .unknown = on_unknown,
	.rcpt_rejected = on_rcpt_rejected, .restart = on_restart, .remembers = true,
};

PH_MODULE(PH_KIND_FILTER, "milter", "1.0", "filters that speak the milter protocol", .ops.filter = &ops, PH_MODULE_PARAMS(params, struct milter_settings));
