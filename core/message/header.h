/* header.h: message header lines: which header is it, where is its value.  Pure. */
#ifndef CORE_MESSAGE_HEADER_H
#define CORE_MESSAGE_HEADER_H

#include <posthouse/base.h>

enum ph_header_id {             /* those that clean-up treats in a way of their own; also bits of "seen" */
	PH_HDR_OTHER, PH_HDR_FROM, PH_HDR_SENDER, PH_HDR_REPLY_TO, PH_HDR_TO, PH_HDR_CC, PH_HDR_BCC, PH_HDR_DATE, PH_HDR_MESSAGE_ID,
	PH_HDR_RECEIVED, PH_HDR_RETURN_PATH, PH_HDR_ERRORS_TO, PH_HDR_RECEIPT_TO, PH_HDR_NOTIFICATION_TO, PH_HDR_FOLLOWUP_TO, PH_HDR_APPARENTLY_TO,
	PH_HDR_RESENT_FROM, PH_HDR_RESENT_SENDER, PH_HDR_RESENT_REPLY_TO, PH_HDR_RESENT_TO, PH_HDR_RESENT_CC, PH_HDR_RESENT_BCC,
	PH_HDR_RESENT_DATE, PH_HDR_RESENT_MESSAGE_ID, PH_HDR_CONTENT_TYPE, PH_HDR_CONTENT_ENCODING, PH_HDR_CONTENT_OTHER, PH_HDR_MIME_VERSION,
	PH_HDR_CONTENT_LENGTH, PH_HDR_COUNT,
};
enum {  /* flags of a known header */
	PH_HDRF_SENDER = 1,     /* addresses of the sender's side */
	PH_HDRF_RCPT = 2,       /* of the recipients' side */
	PH_HDRF_RESENT = 4,
	PH_HDRF_MIME = 8,
};
struct ph_header_info { const char *name; enum ph_header_id id; unsigned flags; };

/* Length of the name in "Name : value", 0 when line is no header.  A name is one or more printable bytes without colon and space; blanks
 * may stand before the colon (RFC 5322 section 4.5). */
size_t ph_header_name(const char *line, size_t n);
/* Offset of the value: behind the colon and the blanks that follow it. */
size_t ph_header_value(const char *line, size_t n);
/* What is known about it; a static object with id PH_HDR_OTHER when nothing is. */
const struct ph_header_info *ph_header_find(const char *name, size_t n);
/* Is name (n bytes) one of the words of list?  list: words separated by commas and spaces. */
bool ph_header_in_list(const char *list, const char *name, size_t n);
/* Items of a rewritten address list stand one a line: join them while they fit, so that no line gets long. */
void ph_header_join_lines(struct ph_buf *b);
/* "Tue, 24 Nov 2026 00:05:08 +0000 (UTC)" (days below 10 with a blank in front) of a wall-clock time in local time.  buf: 64 bytes. */
const char *ph_header_date(int64_t wall_us, char *buf, size_t bytes);
#endif
