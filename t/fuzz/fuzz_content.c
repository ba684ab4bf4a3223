/* A whole message through the intake (header rewriting, MIME, limits) and through the conversion to 7 bit.  First byte: options. */
#include "../unit/intake_stub.h"

#include "base/loop.h"
#include "config/config.h"
#include "message/bounce_template.h"
#include "message/encoded_word.h"

#include <posthouse/message.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static struct ph_config *configs[2];      /* the second converts to 7 bit, and says what ended the headers */

static void setup(void)
{
	struct ph_err err;

	log_off = true;
	for (int i = 0; i < 2; i++) {
		char text[1000];

		snprintf(text, sizeof(text), "%s%s", "myhostname = h.test\nlocal_recipient_maps =\nmydestination = h.test\ninet_interfaces = loopback-only\nheader_size_limit = 200\n"
			    "mime_nesting_limit = 5\nmime_boundary_length_limit = 20\nhopcount_limit = 5\nmasquerade_domains = test\nalways_add_missing_headers = yes\n",
			 i ? "force_mime_input_conversion = yes\nnon_empty_end_of_header_action = add_header\n" : "");
		if (ph_config_parse(text, "", &configs[i], &err) < 0)
			abort();
	}
}

static void count(void *arg, const char *line, size_t n)
{
	*(size_t *)arg += n;
}

/* Words are short, and hold nothing that a phrase must not hold. */
static void check_name(const char *name, const char *charset)
{
	struct ph_buf b = PH_BUF_INIT(1 << 20);
	size_t run = 0;

	if (ph_encoded_words(charset, name, &b) == 0)
		for (const char *p = ph_buf_str(&b); *p; p++) {
			run = *p == '\n' ? 0 : run + 1;
			if (run > 76 || (unsigned char)*p > 126 || (*p != '\n' && strchr("()<>@,;:\\\"[].", *p)))
				abort();
		}
	ph_buf_done(&b);
}

static void feed_lines(const uint8_t *data, size_t n, const struct ph_conf *conf, bool local, size_t piece)
{
	struct ph_arena *arena = ph_arena_new();
	size_t out = 0;
	struct ph_mime_downgrade *d = ph_mime_downgrade_new(count, &out);
	struct ph_intake_params p = { .conf = conf, .prog = "fuzz", .local_origin = local, .size_limit = 100000, .arena = arena };
	struct ph_intake *in;
	struct ph_err err;
	struct ph_verdict v;

	if (ph_intake_begin(&p, &in, &err) < 0)
		abort();
	ph_intake_sender(in, "s", NULL, NULL, NULL, 0);
	ph_intake_rcpt(in, "u@x", NULL, 0);
	while (n) {
		const uint8_t *nl = memchr(data, '\n', n);
		size_t k = nl ? (size_t)(nl - data) : n;
		bool cont = k > piece;

		if (cont)
			k = piece;
		ph_intake_line(in, (const char *)data, k, cont);
		k += !cont && nl;
		ph_mime_downgrade_feed(d, (const char *)data, k);
		data += k;
		n -= k;
	}
	ph_mime_downgrade_end(&d);
	v = ph_intake_end(&in, NULL);
	if (v.cls == PH_PERMIT && (!got_content || strlen(got_content) > 400000))
		abort();
	ph_arena_free(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct ph_arena *arena = ph_arena_new();
	struct ph_bounce_template t[PH_BOUNCE_KINDS];
	struct ph_err err;

	if (!configs[0])
		setup();
	if (n)
		feed_lines(data + 1, n - 1, ph_config_main(configs[data[0] >> 2 & 1]), data[0] & 1, data[0] & 2 ? 7 : 1000);
	ph_bounce_template_builtin(t);
	ph_bounce_template_parse(ph_arena_strndup(arena, (const char *)data, n), "templates", arena, t, &err);
	check_name(ph_arena_strndup(arena, (const char *)data, n), "utf-8");
	check_name("\xc3\xa9", ph_arena_strndup(arena, (const char *)data, n));
	ph_arena_free(&arena);
	return 0;
}
