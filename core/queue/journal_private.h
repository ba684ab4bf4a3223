/* journal_private.h: what the two halves of the journal share. */
#ifndef CORE_QUEUE_JOURNAL_PRIVATE_H
#define CORE_QUEUE_JOURNAL_PRIVATE_H

#include "queue/journal.h"

/* Append one record's bytes.  0, -EMSGSIZE, -ENOBUFS. */
int ph_journal_encode(const struct ph_journal_rec *rec, struct ph_buf *out);
/* "journal/" and one component. */
bool ph_journal_file_valid(const char *file);
#endif
