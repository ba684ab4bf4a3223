/* message.c: the message as the local agent writes it: headers on top, mbox quoting, and the Delivered-To loop check. */
#include "local.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#define CHUNK 16384
#define HEADERS_MAX (1024 * 1024)       /* the loop check looks no further */

char *local_top(struct local_state *st, bool from_line, bool delivered_to)
{
	const struct ph_rcpt *r = ph_delivery_rcpt(st->d, st->rcpt);
	const char *sender = *st->sender ? ph_address_external(st->arena, st->sender) : "";
	const char *original = *r->original && st->svc->keep_original ? ph_address_external(st->arena, r->original) : "";
	time_t now = (time_t)(ph_wall_us() / 1000000);
	char when[40] = "";
	struct tm tm;

	if (localtime_r(&now, &tm))
		strftime(when, sizeof when, "%a %b %e %H:%M:%S %Y", &tm);
	return ph_arena_printf(st->arena, "%s%s%s%s%sReturn-Path: <%s>\n%s%s%s%s%s%s",
		from_line ? "From " : "", from_line ? (*sender ? sender : "MAILER-DAEMON") : "", from_line ? "  " : "", from_line ? when : "",
		from_line ? "\n" : "", sender, *original ? "X-Original-To: " : "", original, *original ? "\n" : "",
		delivered_to ? "Delivered-To: " : "", delivered_to ? ph_address_external(st->arena, r->address) : "", delivered_to ? "\n" : "");
}

int local_feed(struct local_state *st, struct ph_run *run, const char *top, struct ph_err *err)
{
	char *buf = ph_alloc(CHUNK);
	int64_t at = 0;
	ssize_t n = 0;
	int rc = ph_run_write(run, top, strlen(top));

	while (rc == 0 && (n = ph_delivery_read(st->d, at, buf, CHUNK, err)) > 0) {
		rc = ph_run_write(run, buf, (size_t)n);
		at += n;
	}
	free(buf);
	if (n < 0)
		return (int)n;
	return rc == -EPIPE ? 0 : rc;   /* who does not read on is judged by its exit status */
}

/* ---- Delivered-To ---- */

static bool header_matches(const char *line, size_t n, const char *address)
{
	static const char name[] = "Delivered-To:";
	const char *v = line + sizeof name - 1, *end = line + n;

	if (n < sizeof name - 1 || strncasecmp(line, name, sizeof name - 1) != 0)
		return false;
	while (v < end && (*v == ' ' || *v == '\t'))
		v++;
	while (end > v && (end[-1] == ' ' || end[-1] == '\t' || end[-1] == '\r'))
		end--;
	return (size_t)(end - v) == strlen(address) && strncasecmp(v, address, (size_t)(end - v)) == 0;
}

int local_delivered_before(struct local_state *st, const char *internal)
{
	const char *address = ph_address_external(st->arena, internal);
	char *buf = ph_alloc(CHUNK);
	int64_t at = 0;
	ssize_t n;
	int found = 0;
	bool more = true;

	while (more && !found && at < HEADERS_MAX && (n = ph_delivery_read(st->d, at, buf, CHUNK, NULL)) > 0) {
		char *p = buf, *end = buf + n;

		while (p < end) {
			char *nl = memchr(p, '\n', (size_t)(end - p));

			if (!nl)
				break;
			if (nl == p) {
				more = false;
				break;
			}
			if (header_matches(p, (size_t)(nl - p), address)) {
				found = 1;
				break;
			}
			p = nl + 1;
		}
		if (p == buf && n < CHUNK)
			more = false;   /* no line end: the message ends here */
		at += p == buf ? n : p - buf;
	}
	free(buf);
	return found;
}
