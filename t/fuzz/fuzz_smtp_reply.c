/* Replies of servers: any lines.  And the same bytes as a message to be downgraded. */
#include <stdlib.h>
#include <string.h>

#include <posthouse/message.h>
#include "../../modules/delivery/smtp/reply.c"      /* pure; part of a module, not of the core */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void put_line(void *arg, const char *line, size_t n)
{
	*(size_t *)arg += n + (n ? line[n - 1] & 1 : 0);
}

static void replies(const char *p, const char *end)
{
	struct ph_arena *arena = ph_arena_new();
	struct smtp_reply r;
	const char *lf;

	smtp_reply_init(&r);
	while (p < end) {
		lf = memchr(p, '\n', (size_t)(end - p));
		lf = lf ? lf : end;
		if (smtp_reply_line(&r, p, (size_t)(lf - p)) == SMTP_REPLY_DONE) {
			if (r.text.len > SMTP_REPLY_TEXT_MAX || smtp_dsn_length(r.dsn, strlen(r.dsn)) == 0)
				abort();
			(void)smtp_reply_flat(&r, arena);
			smtp_reply_reset(&r);
		}
		p = lf + 1;
	}
	smtp_reply_done(&r);
	ph_arena_free(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	const char *p = (const char *)data;
	size_t sum = 0, cut = n / 2;
	struct ph_mime_downgrade *m = ph_mime_downgrade_new(put_line, &sum);

	replies(p, p + n);
	ph_mime_downgrade_feed(m, p, cut);
	ph_mime_downgrade_feed(m, p + cut, n - cut);
	ph_mime_downgrade_end(&m);
	return 0;
}
