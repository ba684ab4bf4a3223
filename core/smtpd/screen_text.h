/* screen_text.h: what postscreen reads and writes as text: log lines, entries of the temporary list, DNS lists of the configuration.  Pure. */
#ifndef CORE_SMTPD_SCREEN_TEXT_H
#define CORE_SMTPD_SCREEN_TEXT_H

#include "smtpd/screen.h"

/* At most 100 bytes of what a client said, control characters as escapes. */
const char *ph_screen_escaped(struct ph_arena *arena, const char *p, size_t n);
/* A time as Postfix's log lines have it: "0", "0.13", "1.2", "12". */
const char *ph_screen_age(int64_t ms, char *buf, size_t bytes);
/* The address of MAIL or RCPT in the form that is logged: without <> and route, quoted anew. */
const char *ph_screen_address(struct ph_arena *arena, struct ph_slice w);

/* An entry of postscreen_cache_map: "time;time;..." in the order of the tests.  Releases that knew fewer tests wrote fewer times: the others are 0. */
#define PH_SCREEN_ENTRY_BYTES (PH_SCREEN_TESTS * 24)
bool ph_screen_entry_parse(const char *text, int64_t ret[PH_SCREEN_TESTS]);
void ph_screen_entry_format(const int64_t stamps[PH_SCREEN_TESTS], char buf[PH_SCREEN_ENTRY_BYTES]);

/* An entry of postscreen_dnsbl_sites, "domain[=filter][*weight]"; text is changed.  0 and *ret (domain is a copy, for free), or negative with err. */
int ph_screen_site_parse(char *text, struct ph_screen_site *ret, struct ph_err *err);

#endif
