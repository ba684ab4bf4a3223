/* text.h: table source text: logical lines of a file or of an inline "{ {line} {line} }" name, and the "key whitespace value"
 * form of postmap(1).  For the lookup modules and postmap; uses only the public interface. */
#ifndef LOOKUP_COMMON_TEXT_H
#define LOOKUP_COMMON_TEXT_H

#include <posthouse/base.h>

#define LTEXT_MAX_BYTES ((size_t)512 << 20)     /* of one file */

struct ltext;

/* Read the regular file name, or, if inline_ok and name starts with '{', take the text from the name itself.  what: "regexp map", for
 * messages.  0 and *ret; -errno, -EFBIG or -EINVAL with err.  Does not yield. */
int ltext_open(const char *what, const char *name, bool inline_ok, struct ltext **ret, struct ph_err *err);
/* All of fd (standard input). */
int ltext_open_fd(const char *what, const char *name, int fd, struct ltext **ret, struct ph_err *err);
/* Lines in memory (fuzzing). */
struct ltext *ltext_memory(const char *what, const char *name, const char *data, size_t n);
/* The next logical line: comments and blank lines left out, continuation lines joined, no line end, leading and trailing blanks
 * cut.  Valid until the next call.  *ret_lineno: where it starts.  NULL at the end. */
char *ltext_next(struct ltext *t, int *ret_lineno);
void ltext_free(struct ltext **t);              /* NULL-safe */
const char *ltext_name(const struct ltext *t);

/* Split "key whitespace value" in place: the key ends at the first blank outside of double quotes; blanks around both are
 * cut.  0, or -EINVAL for unbalanced quotes, -ENODATA when key or value is missing. */
int ltext_split(char *line, char **ret_key, char **ret_value);
/* Cut blanks at both ends, in place. */
char *ltext_trim(char *s);
#endif
