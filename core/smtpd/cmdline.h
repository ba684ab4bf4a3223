/* cmdline.h: an SMTP command line taken apart.  Pure; bytes in, words out.
 *
 * A word ends at white space; a '<' in a word opens an address that runs to its '>' (quoted strings and backslashes
 * are honoured), whatever white space it holds.  Source: RFC 5321 section 4.1.1, and what Postfix tolerates. */
#ifndef CORE_SMTPD_CMDLINE_H
#define CORE_SMTPD_CMDLINE_H

#include <posthouse/base.h>

#define PH_SMTPD_WORDS_MAX 64

enum ph_smtpd_word_kind {
	PH_SMTPD_WORD_OTHER,
	PH_SMTPD_WORD_ADDR,        /* holds <...> */
	PH_SMTPD_WORD_ERROR,       /* '<' or a quote that is not closed, or a NUL byte */
};
struct ph_smtpd_word {
	enum ph_smtpd_word_kind kind;
	struct ph_slice text;   /* into the line */
};
struct ph_smtpd_cmdline {
	size_t n;
	bool overflow;          /* more than PH_SMTPD_WORDS_MAX words: the last ones are missing */
	struct ph_smtpd_word w[PH_SMTPD_WORDS_MAX];
};

/* Split line (n bytes, without its end). */
void ph_smtpd_cmdline_split(struct ph_smtpd_cmdline *c, const char *line, size_t n);

bool ph_smtpd_slice_ieq(struct ph_slice s, const char *word);
bool ph_smtpd_slice_istarts(struct ph_slice s, const char *prefix);
/* ASCII white space as SMTP commands know it. */
static inline bool ph_smtpd_space(int c)
{
	return c == ' ' || (c >= '\t' && c <= '\r');
}

/* A decimal number without sign, all of s.  0, -EINVAL (not a number), -ERANGE (more than 2^63-1). */
int ph_smtpd_number(struct ph_slice s, int64_t *ret);

/* xtext (RFC 3461 section 4).  Decodes s into out (s.n + 1 bytes, NUL-terminated).  Length, or -EINVAL: malformed, or a NUL, CR, LF or
 * other control character in the result. */
ssize_t ph_smtpd_xtext_decode(struct ph_slice s, char *out);

/* NOTIFY= value: PH_NOTIFY_* bits, or -EINVAL.  *ret_bad: the unknown word, when that was the reason. */
int ph_smtpd_notify_parse(struct ph_slice s, struct ph_slice *ret_bad);
/* BDAT size [LAST].  0 or -EINVAL. */
int ph_smtpd_bdat_parse(const struct ph_smtpd_cmdline *c, int64_t *ret_bytes, bool *ret_last);
#endif
