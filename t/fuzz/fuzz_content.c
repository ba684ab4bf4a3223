/* A whole message through the intake (header rewriting, MIME, limits) and through the conversion to 7 bit.  First byte: options. */
#include "../unit/intake_stub.h"

#include "base/loop.h"
#include "config/config.h"
#include "message/bounce_template.h"

#include <posthouse/message.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static struct ph_config *config;

static void setup(void)
{
	struct ph_err err;

	log_off = true;
	if (ph_config_parse("myhostname = h.test\nlocal_recipient_maps =\nmydestination = h.test\ninet_interfaces = loopback-only\nheader_size_limit = 200\n"
			    "mime_nesting_limit = 5\nmime_boundary_length_limit = 20\nhopcount_limit = 5\nmasquerade_domains = test\nalways_add_missing_headers = yes\n",
			    "", &config, &err) < 0)
		abort();
}

static void count(void *arg, const char *line, size_t n)
{
	*(size_t *)arg += n;
}

static void feed_lines(const uint8_t *data, size_t n, bool local, size_t piece)
{
	struct ph_arena *arena = ph_arena_new();
	size_t out = 0;
	struct ph_mime_downgrade *d = ph_mime_downgrade_new(count, &out);
	struct ph_intake_params p = { .conf = ph_config_main(config), .prog = "fuzz", .local_origin = local, .size_limit = 100000, .arena = arena };
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
	struct ph_bounce_template t;

	if (!config)
		setup();
	if (n)
		feed_lines(data + 1, n - 1, data[0] & 1, data[0] & 2 ? 7 : 1000);
	ph_bounce_template_parse(ph_arena_strndup(arena, (const char *)data, n), "failure_template", arena, &t);
	ph_arena_free(&arena);
	return 0;
}
