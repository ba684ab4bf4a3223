/* listing.c: the queue as text.  Source: postqueue(1).  No state but struct ph_listing; does not yield. */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "queue/listing.h"
#include "queue/parts.h"

/* ---- JSON ---- */

/* Bytes of the UTF-8 character at s, 0 when it is none (overlong, surrogate, beyond 0x10ffff). */
static size_t utf8_len(const unsigned char *s)
{
	size_t n = s[0] < 0x80 ? 1 : s[0] >= 0xc2 && s[0] < 0xe0 ? 2 : s[0] >= 0xe0 && s[0] < 0xf0 ? 3 : s[0] >= 0xf0 && s[0] < 0xf5 ? 4 : 0, i;

	for (i = 1; i < n; i++) {
		if ((s[i] & 0xc0) != 0x80)
			return 0;
	}
	if ((s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xed && s[1] > 0x9f) || (s[0] == 0xf0 && s[1] < 0x90) || (s[0] == 0xf4 && s[1] > 0x8f))
		return 0;
	return n;
}

static bool plain(unsigned char c)
{
	return c >= 0x20 && c < 0x7f && c != '"' && c != '\\';
}

void ph_json_put(struct ph_buf *out, const char *text)
{
	const unsigned char *s = (const unsigned char *)text;
	size_t n;

	ph_buf_putc(out, '"');
	while (*s) {
		for (n = 0; plain(s[n]); n++)
			;
		ph_buf_append(out, s, n);
		s += n;
		if (*s == '\0')
			break;
		if (*s == '"' || *s == '\\') {
			ph_buf_putc(out, '\\');
			ph_buf_putc(out, *s++);
		} else if (*s < 0x20 || *s == 0x7f) {
			ph_buf_printf(out, "\\u%04X", *s++);
		} else if ((n = utf8_len(s)) > 1 && !(s[0] == 0xe2 && s[1] == 0x80 && (s[2] & 0xfe) == 0xa8)) {
			ph_buf_append(out, s, n);
			s += n;
		} else if (n > 1) {             /* U+2028, U+2029: line ends to some parsers */
			ph_buf_puts(out, s[2] == 0xa8 ? "\\u2028" : "\\u2029");
			s += n;
		} else {
			ph_buf_puts(out, "\\uFFFD");
			s++;
		}
	}
	ph_buf_putc(out, '"');
}

static const char *queue_name(const struct ph_entry *e)
{
	switch ((enum ph_entry_state)e->state) {
	case PH_ENTRY_INCOMING: return "incoming";
	case PH_ENTRY_ACTIVE: return "active";
	case PH_ENTRY_DEFERRED: return "deferred";
	case PH_ENTRY_HOLD: return "hold";
	}
	return "";
}

/* Who stands for a recipient: it itself, or a part of it that waits (parts.h); and why (NULL: not known). */
struct shown { const char *address, *reason; };

static void json_rcpt(const struct shown *s, bool bounced, bool first, struct ph_buf *out)
{
	ph_buf_puts(out, first ? "{\"address\": " : ", {\"address\": ");
	ph_json_put(out, s->address);
	if (s->reason) {
		ph_buf_puts(out, bounced ? ", \"bounce_reason\": " : ", \"delay_reason\": ");
		ph_json_put(out, s->reason);
	}
	ph_buf_putc(out, '}');
}

/* Recipient i of e as it is to be shown, in arena; how many. */
static size_t shown_of(const struct ph_index *ix, const struct ph_entry *e, uint32_t i, const char *address, struct ph_arena *arena, struct shown **ret)
{
	struct shown *s = ph_arena_alloc(arena, sizeof(*s));
	struct ph_parts list;
	struct ph_reason r;
	size_t n = 0;

	*s = (struct shown){ address, ph_entry_reason(ix, e, i, &r) ? r.text : NULL };
	*ret = s;
	if (!s->reason || e->rcpts[i].state != PH_RCPT_TODO || !ph_parts_pending(r.diag))
		return 1;
	list = ph_parts_read(r.diag, arena);
	*ret = s = ph_arena_alloc(arena, list.n * sizeof(*s));
	for (size_t k = 0; k < list.n; k++)
		if (list.part[k].state == PH_PART_PENDING)
			s[n++] = (struct shown){ list.part[k].address, *list.part[k].text ? list.part[k].text : r.text };
	return n;
}

static void json_entry(const struct ph_index *ix, const struct ph_entry *e, struct ph_buf *out)
{
	const char *cursor = ph_entry_rcpts(e), *original, *address;
	struct ph_arena *arena = ph_arena_new();
	struct shown *s;
	bool first = true;
	size_t n, k;
	uint32_t i;

	ph_buf_printf(out, "{\"queue_name\": \"%s\", \"queue_id\": \"%s\", \"arrival_time\": %lld, \"message_size\": %lld, \"forced_expire\": %s, \"sender\": ",
		      queue_name(e), ph_entry_queue_id(e), (long long)(e->arrival_us / 1000000), (long long)e->content_bytes,
		      e->marks & PH_MARK_EXPIRE ? "true" : "false");
	ph_json_put(out, *ph_entry_sender(e) ? ph_entry_sender(e) : "MAILER-DAEMON");
	ph_buf_puts(out, ", \"recipients\": [");
	for (i = 0; i < e->n_rcpts; i++) {
		address = ph_entry_rcpt_next(e, i, &cursor, &original);
		if (e->rcpts[i].state != PH_RCPT_TODO && e->rcpts[i].state != PH_RCPT_BOUNCED)
			continue;
		ph_arena_reset(arena);
		n = shown_of(ix, e, i, address, arena, &s);
		for (k = 0; k < n; k++, first = false)
			json_rcpt(&s[k], e->rcpts[i].state == PH_RCPT_BOUNCED, first, out);
	}
	ph_arena_free(&arena);
	ph_buf_puts(out, "]}\n");
}

/* ---- mailq ---- */

static void put_printable(struct ph_buf *out, const char *s)
{
	size_t n;

	while (*s) {
		for (n = 0; (unsigned char)s[n] >= 0x20 && (unsigned char)s[n] < 0x7f; n++)
			;
		ph_buf_append(out, s, n);
		s += n;
		if (*s == '\0')
			break;
		n = utf8_len((const unsigned char *)s);
		if (n > 1 && (unsigned char)s[0] != 0xc2) {     /* U+0080..U+009F are control characters, too */
			ph_buf_append(out, s, n);
			s += n;
		} else if (n > 1 && (unsigned char)s[1] >= 0xa0) {
			ph_buf_append(out, s, n);
			s += n;
		} else {
			ph_buf_putc(out, '?');
			s++;
		}
	}
}

static void mailq_head(struct ph_listing *l, const char *queue_id, char mark, int64_t arrival_s, int64_t bytes, const char *sender, struct ph_buf *out)
{
	char id[80], size[24];
	int width;
	struct tm tm;
	time_t t = (time_t)arrival_s;

	if (l->messages == 0)
		ph_buf_puts(out, l->long_ids ? "----Queue ID----- --Size-- ---Arrival Time---- --Sender/Recipient------\n"
					     : "-Queue ID-  --Size-- ----Arrival Time---- -Sender/Recipient-------\n");
	else
		ph_buf_putc(out, '\n');
	if (l->day != arrival_s || l->when[0] == '\0') {        /* mail of one second comes together */
		localtime_r(&t, &tm);
		strftime(l->when, sizeof(l->when), "%a %b %e %H:%M:%S", &tm);
		l->day = arrival_s;
	}
	snprintf(id, sizeof(id), "%s%c", queue_id, mark);
	if (mark == ' ')
		id[strlen(queue_id)] = '\0';
	/* An id of ours is longer than Postfix's short ones; the columns to the right of the size stay where the heading has them. */
	width = l->long_ids ? 17 + 1 + 8 : 11 + 1 + 7 + 1;
	snprintf(size, sizeof(size), "%lld", (long long)bytes);
	width -= (int)strlen(id) + 1;
	ph_buf_printf(out, "%s %*s %19.19s ", id, width > 0 ? width : 0, size, l->when);
	put_printable(out, *sender ? sender : "MAILER-DAEMON");
	ph_buf_putc(out, '\n');
	l->messages++;
	l->bytes += (uint64_t)bytes;
}

static void mailq_reason(const char *text, struct ph_buf *out)
{
	size_t width = 78, n = strlen(text) + 2;

	if (n < width)
		ph_buf_printf(out, "%*s", (int)(width - n), "");
	ph_buf_putc(out, '(');
	put_printable(out, text);
	ph_buf_puts(out, ")\n");
}

static void mailq_entry(struct ph_listing *l, const struct ph_index *ix, const struct ph_entry *e, struct ph_buf *out)
{
	const char *cursor = ph_entry_rcpts(e), *original, *address;
	struct ph_arena *arena = ph_arena_new();
	uint32_t i, last = 0;
	struct shown *s;
	size_t n, k;
	char mark = e->state == PH_ENTRY_ACTIVE ? '*' : e->state == PH_ENTRY_HOLD ? '!' : e->marks & PH_MARK_EXPIRE ? '#' : ' ';

	mailq_head(l, ph_entry_queue_id(e), mark, e->arrival_us / 1000000, e->content_bytes, ph_entry_sender(e), out);
	for (i = 0; i < e->n_rcpts; i++) {
		address = ph_entry_rcpt_next(e, i, &cursor, &original);
		if (e->rcpts[i].state != PH_RCPT_TODO && e->rcpts[i].state != PH_RCPT_BOUNCED)
			continue;
		ph_arena_reset(arena);
		n = shown_of(ix, e, i, address, arena, &s);
		for (k = 0; k < n; k++) {
			if (s[k].reason && (n > 1 || e->rcpts[i].reason != last))
				mailq_reason(s[k].reason, out);
			ph_buf_printf(out, l->long_ids ? "%47s" : "%41s", "");
			put_printable(out, s[k].address);
			ph_buf_putc(out, '\n');
		}
		last = e->rcpts[i].reason;
	}
	ph_arena_free(&arena);
}

/* ---- both ---- */

void ph_listing_entry(struct ph_listing *l, const struct ph_index *ix, const struct ph_entry *e, struct ph_buf *out)
{
	if (l->format == PH_LISTING_JSON)
		json_entry(ix, e, out);
	else
		mailq_entry(l, ix, e, out);
}

void ph_listing_maildrop(struct ph_listing *l, const char *queue_id, int64_t arrival_s, int64_t bytes, const char *sender, const char *const *rcpts, size_t n,
			 struct ph_buf *out)
{
	if (l->format == PH_LISTING_MAILQ) {
		mailq_head(l, queue_id, ' ', arrival_s, bytes, sender, out);
		for (size_t i = 0; i < n; i++) {
			ph_buf_printf(out, l->long_ids ? "%47s" : "%41s", "");
			put_printable(out, rcpts[i]);
			ph_buf_putc(out, '\n');
		}
		return;
	}
	ph_buf_printf(out, "{\"queue_name\": \"maildrop\", \"queue_id\": \"%s\", \"arrival_time\": %lld, \"message_size\": %lld, \"forced_expire\": false, \"sender\": ",
		      queue_id, (long long)arrival_s, (long long)bytes);
	ph_json_put(out, *sender ? sender : "MAILER-DAEMON");
	ph_buf_puts(out, ", \"recipients\": [");
	for (size_t i = 0; i < n; i++) {
		ph_buf_puts(out, i ? ", {\"address\": " : "{\"address\": ");
		ph_json_put(out, rcpts[i]);
		ph_buf_putc(out, '}');
	}
	ph_buf_puts(out, "]}\n");
}

void ph_listing_end(struct ph_listing *l, struct ph_buf *out)
{
	if (l->format == PH_LISTING_JSON)
		return;
	if (l->messages == 0)
		ph_buf_puts(out, "Mail queue is empty\n");
	else
		ph_buf_printf(out, "\n-- %llu Kbytes in %llu Request%s.\n", (unsigned long long)(l->bytes / 1024),
			      (unsigned long long)l->messages, l->messages == 1 ? "" : "s");
}
