/* posthouse/message.h: changing the form of a message on its way out. */
#ifndef POSTHOUSE_MESSAGE_H
#define POSTHOUSE_MESSAGE_H

#include <posthouse/filter.h>

#ifdef __cplusplus
extern "C" {
#endif

/* For servers without 8BITMIME (RFC 6152 section 3): parts that are declared as 8bit or binary become quoted-printable, and the headers say so.  Parts without such a
 * declaration, and header lines, stay as they are.  Content comes in pieces of any size with LF line ends; put_line gets the new lines without their ends (a line longer than
 * 64 KiB in several).  Pure; no yield of its own (put_line may). */
struct ph_mime_downgrade;
PH_API struct ph_mime_downgrade *ph_mime_downgrade_new(void (*put_line)(void *arg, const char *line, size_t n), void *arg);
PH_API void ph_mime_downgrade_feed(struct ph_mime_downgrade *m, const char *p, size_t n);
/* End of content: what is left goes out.  Frees; NULL-safe; sets *m to NULL. */
PH_API void ph_mime_downgrade_end(struct ph_mime_downgrade **m);

/* Changing lines on that way (since 1.1).  What happens to a logical header or a body line: */
struct ph_line_change {
	const char *prepend;            /* headers or lines in front of it; NULL: none */
	const char *text;               /* what stands in its place, may hold several lines; NULL: it stays as it is */
	bool drop;                      /* it goes */
};
struct ph_mime_edit {
	/* Called in order; texts must live until the next call.  Either may be NULL.  line: a logical header with LF between its lines; a body line (of more than 64 KiB: in
	 * several pieces).  They may yield when put_line may. */
	void (*header)(void *arg, enum ph_header_kind kind, const char *line, size_t n, struct ph_line_change *change);
	void (*body)(void *arg, const char *line, size_t n, struct ph_line_change *change);
};
/* Before the first piece: edit is asked about each line (arg as for put_line); it must live as long as m.  downgrade false: nothing else is changed. */
PH_API void ph_mime_downgrade_edit(struct ph_mime_downgrade *m, const struct ph_mime_edit *edit, bool downgrade);

/* The addresses in a header (From, Sender, Reply-To, To, Cc, Bcc, their Resent- forms ...), one after the other: fn gets the internal form and answers a new one, or NULL:
 * leave it.  line: a logical header.  1: *out holds the whole header anew, folded; 0: it is no such header, or nothing changes; negative: too many.  Yields when fn does. */
PH_API int ph_header_map_addresses(const char *line, size_t n, struct ph_arena *arena, const char *(*fn)(void *arg, const char *address), void *arg, struct ph_buf *out);

#ifdef __cplusplus
}
#endif
#endif
