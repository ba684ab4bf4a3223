/* Journal records: decoding any bytes; what decodes must encode to something that decodes to the same.
 * First byte even: the rest is the payload of a record whose checksum is made right, so that the parser behind it is reached. */
#include <stdlib.h>
#include <string.h>

#include "queue/journal_private.h"
#include "queue/record.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void check(const unsigned char *p, size_t n)
{
	struct ph_journal_rec rec, again;
	struct ph_buf b = PH_BUF_INIT((size_t)64 * 1024 * 1024);
	ssize_t used = ph_journal_decode((struct ph_slice){ (const char *)p, n }, &rec);

	if (used > (ssize_t)n)
		abort();
	if (used <= 0 || rec.type > PH_J_CHECKPOINT_END)
		return;
	if (ph_journal_encode(&rec, &b) < 0 || ph_journal_decode((struct ph_slice){ b.data, b.len }, &again) != (ssize_t)b.len)
		abort();
	if (strcmp(rec.queue_id, again.queue_id) != 0 || rec.number2 != again.number2 || rec.text.n != again.text.n ||
	    (rec.text.n && memcmp(rec.text.p, again.text.p, rec.text.n) != 0) || rec.blob.n != again.blob.n)
		abort();
	ph_buf_done(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	unsigned char *p;
	size_t total;

	if (n < 2)
		return 0;
	if (data[0] & 1) {
		p = ph_alloc(n);
		memcpy(p, data + 1, n - 1);
		check(p, n - 1);
	} else {
		total = PH_REC_HEAD + (size_t)PH_REC_ALIGN(n - 2);
		p = ph_alloc(total);
		memcpy(p + PH_REC_HEAD, data + 2, n - 2);
		ph_rec_seal(p, (uint8_t)(PH_REC_JOURNAL + data[1] % 16), (uint32_t)(n - 2), 0, 0);
		check(p, total);
	}
	free(p);
	return 0;
}
