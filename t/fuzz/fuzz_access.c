/* fuzz_access.c: right-hand sides of access tables and answers of policy servers, carried out for a session without a client: every refusal is a reply,
 * and every action on the message has the form that the queue expects.  The first byte chooses what was looked up, and at which stage; the second whether there
 * is a message and smtpd_proxy_filter. */
#include <ctype.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "config/config.h"
#include "smtpd/restrict.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerInitialize(int *argc, char ***argv);

static const struct ph_config *config;
static struct ph_smtpd_service *svc[2];         /* without and with a proxy filter */

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	static const char *const texts[2] = {
		"smtpd_restriction_classes = one, two\none = two\ntwo = one\n",
		"smtpd_restriction_classes = one, two\none = warn_if_reject\ntwo = one one\nsmtpd_proxy_filter = 127.0.0.1:9\nsoft_bounce = yes\n",
	};
	struct ph_config *c;
	struct ph_err err;

	(void)argc;
	(void)argv;
	for (size_t i = 0; i < 2; i++) {
		if (ph_config_parse(texts[i], "", &c, &err) < 0)
			abort();
		config = c;
		svc[i] = ph_smtpd_service_new(config, NULL, NULL);
	}
	return 0;
}

static void check_reply(const char *reply)
{
	if ((reply[0] != '4' && reply[0] != '5') || !isdigit((unsigned char)reply[1]) || !isdigit((unsigned char)reply[2]) || reply[3] != ' ')
		abort();                /* line breaks and control characters in the text are reply.c's business */
}

/* The same text as smtpd_reject_filter_maps could give it. */
static void check_filtered(const char *text)
{
	struct ph_buf b = PH_BUF_INIT(1024);

	if (ph_smtpd_reply_from_wire(text, &b)) {
		check_reply(ph_buf_str(&b));
		if (strlen(ph_buf_str(&b)) != b.len)
			abort();
	}
	ph_buf_done(&b);
}

static void check_action(const struct ph_smtpd_action *a)
{
	if (strcmp(a->verb, "PREPEND") == 0 && (!strchr(a->arg, ':') || strpbrk(a->arg, "\r\n")))
		abort();
	if (strcmp(a->verb, "FILTER") == 0 && !strchr(a->arg, ':'))
		abort();
	if ((strcmp(a->verb, "REDIRECT") == 0 || strcmp(a->verb, "BCC") == 0) && !strchr(a->arg, '@'))
		abort();
}

static void begin(struct ph_session *s, unsigned what)
{
	static const enum ph_stage stages[] = { PH_STAGE_RCPT, PH_STAGE_EOD, PH_STAGE_CONNECT, PH_STAGE_VRFY };

	ph_smtpd_set(&s->name, "client.example");
	ph_smtpd_peer_set_addr(s, "192.0.2.1");
	ph_smtpd_set_namaddr(s);
	ph_smtpd_set(&s->helo, "helo.example");
	s->stage = stages[what & 3];
	if (what & 4) {
		ph_smtpd_trans_begin(s);
		s->t->sender = "a@x.example";
		s->recipient = "b@y.example";
	}
	if (what & 8)
		s->warn_if_reject = 1;
	if (what & 16) {
		s->defer_if_reject.active = true;
		strcpy(s->defer_if_reject.text, "450 4.7.1 earlier");
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct ph_session *s;
	struct ph_verdict v;
	char *text;

	if (size < 2 || size > 4096 || memchr(data + 2, 0, size - 2))
		return 0;
	text = ph_strndup((const char *)data + 2, size - 2);
	check_filtered(text);
	s = ph_smtpd_session_new(svc[data[1] >> 7], NULL);
	begin(s, data[1]);
	v = ph_access_action(s, "fuzz:table", text, "key@x.example", data[0] % (PH_ACCESS_REVERSE_CLIENT + 1));
	if (v.cls == PH_REJECT && s->refusal) {
		if (!s->hangup)
			check_reply(s->refusal);
	} else if (ph_check_apply(s, &v, "what", "Access") == PH_CHECK_REJECT) {
		check_reply(ph_check_reply(s));
	}
	for (struct ph_smtpd_action *a = s->t ? s->t->actions : NULL; a; a = a->next)
		check_action(a);
	ph_smtpd_session_free(&s);
	ph_rcache_free(&svc[data[1] >> 7]->rcache);
	free(text);
	return 0;
}
