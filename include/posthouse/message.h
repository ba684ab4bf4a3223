/* posthouse/message.h: changing the form of a message on its way out. */
#ifndef POSTHOUSE_MESSAGE_H
#define POSTHOUSE_MESSAGE_H

#include <posthouse/base.h>

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

#ifdef __cplusplus
}
#endif
#endif
