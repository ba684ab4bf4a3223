/* header.c: header names.
 *
 * Pure; does not yield.  RFC 5322 sections 2.2, 3.6 and 4.5, RFC 2045. */
#include "message/header.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#define N(name_, id_, flags_) { name_, PH_HDR_##id_, flags_ }
static const struct ph_header_info known[] = {          /* sorted by name without case */
	N("Apparently-To", APPARENTLY_TO, PH_HDRF_RCPT),
	N("Bcc", BCC, PH_HDRF_RCPT),
	N("Cc", CC, PH_HDRF_RCPT),
	N("Content-Description", CONTENT_OTHER, PH_HDRF_MIME),
	N("Content-Disposition", CONTENT_OTHER, PH_HDRF_MIME),
	N("Content-ID", CONTENT_OTHER, PH_HDRF_MIME),
	N("Content-Length", CONTENT_LENGTH, 0),
	N("Content-Transfer-Encoding", CONTENT_ENCODING, PH_HDRF_MIME),
	N("Content-Type", CONTENT_TYPE, PH_HDRF_MIME),
	N("Date", DATE, 0),
	N("Disposition-Notification-To", NOTIFICATION_TO, PH_HDRF_SENDER),
	N("Errors-To", ERRORS_TO, PH_HDRF_SENDER),
	N("From", FROM, PH_HDRF_SENDER),
	N("Mail-Followup-To", FOLLOWUP_TO, PH_HDRF_SENDER),
	N("Message-Id", MESSAGE_ID, 0),
	N("Mime-Version", MIME_VERSION, PH_HDRF_MIME),
	N("Received", RECEIVED, 0),
	N("Reply-To", REPLY_TO, PH_HDRF_SENDER),
	N("Resent-Bcc", RESENT_BCC, PH_HDRF_RCPT | PH_HDRF_RESENT),
	N("Resent-Cc", RESENT_CC, PH_HDRF_RCPT | PH_HDRF_RESENT),
	N("Resent-Date", RESENT_DATE, PH_HDRF_RESENT),
	N("Resent-From", RESENT_FROM, PH_HDRF_SENDER | PH_HDRF_RESENT),
	N("Resent-Message-Id", RESENT_MESSAGE_ID, PH_HDRF_RESENT),
	N("Resent-Reply-To", RESENT_REPLY_TO, PH_HDRF_SENDER | PH_HDRF_RESENT),
	N("Resent-Sender", RESENT_SENDER, PH_HDRF_SENDER | PH_HDRF_RESENT),
	N("Resent-To", RESENT_TO, PH_HDRF_RCPT | PH_HDRF_RESENT),
	N("Return-Path", RETURN_PATH, PH_HDRF_SENDER),
	N("Return-Receipt-To", RECEIPT_TO, PH_HDRF_SENDER),
	N("Sender", SENDER, PH_HDRF_SENDER),
	N("To", TO, PH_HDRF_RCPT),
};
static const struct ph_header_info other = { "", PH_HDR_OTHER, 0 };

size_t ph_header_name(const char *line, size_t n)
{
	size_t i = 0, len;

	while (i < n && (unsigned char)line[i] > ' ' && (unsigned char)line[i] != 127 && line[i] != ':')
		i++;
	len = i;
	while (i < n && (line[i] == ' ' || line[i] == '\t'))
		i++;
	return i < n && line[i] == ':' ? len : 0;
}

size_t ph_header_value(const char *line, size_t n)
{
	const char *colon = memchr(line, ':', n);
	size_t i = colon ? (size_t)(colon - line) + 1 : n;

	while (i < n && (line[i] == ' ' || line[i] == '\t' || line[i] == '\n'))
		i++;
	return i;
}

const struct ph_header_info *ph_header_find(const char *name, size_t n)
{
	size_t lo = 0, hi = PH_ARRAY_LEN(known);

	while (lo < hi) {
		size_t mid = (lo + hi) / 2;
		int c = strncasecmp(name, known[mid].name, n);

		if (c == 0 && known[mid].name[n] == '\0')
			return &known[mid];
		if (c > 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return &other;
}

bool ph_header_in_list(const char *list, const char *name, size_t n)
{
	for (const char *p = list; *p;) {
		size_t len = strcspn(p, PH_SEP_LIST);

		if (len == n && strncasecmp(p, name, n) == 0)
			return true;
		p += len;
		p += strspn(p, PH_SEP_LIST);
	}
	return false;
}

const char *ph_header_date(int64_t wall_us, char *buf, size_t bytes)
{
	static const char days[7][4] = { "Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat" };
	static const char months[12][4] = { "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec" };
	time_t t = (time_t)(wall_us / 1000000);
	struct tm tm;
	long off;

	localtime_r(&t, &tm);
	off = tm.tm_gmtoff / 60;
	snprintf(buf, bytes, "%s, %2d %s %d %02d:%02d:%02d %c%02ld%02ld (%s)", days[tm.tm_wday], tm.tm_mday, months[tm.tm_mon], tm.tm_year + 1900,
		 tm.tm_hour, tm.tm_min, tm.tm_sec, off < 0 ? '-' : '+', (off < 0 ? -off : off) / 60, (off < 0 ? -off : off) % 60, tm.tm_zone);
	return buf;
}
