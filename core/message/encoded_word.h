/* encoded_word.h: text that is not ASCII, for a header (RFC 2047).  Pure. */
#ifndef CORE_MESSAGE_ENCODED_WORD_H
#define CORE_MESSAGE_ENCODED_WORD_H

#include <posthouse/base.h>

/* text as encoded words of at most 75 bytes, each on a line of its own (LF and a blank between them), as a phrase or a comment may hold them.  charset: what the bytes
 * of text are; nothing is converted, and characters of UTF-8 are not cut.  0; -EINVAL: no name of a character set, or too long for one; -ENOBUFS. */
int ph_encoded_words(const char *charset, const char *text, struct ph_buf *out);
#endif
