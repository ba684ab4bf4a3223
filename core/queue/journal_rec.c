/* journal_rec.c: journal records as bytes and back, and the walk through a journal file.
 *
 * A journal is nothing but records (record.h, instance and offset 0): its file is never used a second time.  Payload: u8 which fields follow,
 * u8 status, u8 length of the queue id, u8 zero, u32 recipient, i64 time, [u64 number, u64 number2], queue id, then for each field
 * that is there u32 length and bytes.  No state; any thread; ph_journal_read blocks. */
#include <errno.h>

#include "queue/journal_private.h"
#include "queue/window.h"

#define FIXED 16
#define HAS_NUMBERS 64

/* ---- one record --------------------------------------------------------------------------- */

static void fields_of(const struct ph_journal_rec *rec, struct ph_slice *f)
{
	f[0] = rec->dsn;
	f[1] = rec->text;
	f[2] = rec->relay;
	f[3] = rec->mta;
	f[4] = rec->diag;
	f[5] = rec->blob;
}

int ph_journal_encode(const struct ph_journal_rec *rec, struct ph_buf *out)
{
	size_t id = strnlen(rec->queue_id, PH_QUEUE_ID_MAX - 1), bytes = FIXED + id, i;
	bool numbers = rec->number || rec->number2;
	struct ph_slice f[6];
	unsigned char *head, *p;
	uint8_t has = 0;

	fields_of(rec, f);
	for (i = 0; i < PH_ARRAY_LEN(f); i++) {
		has |= (uint8_t)((f[i].n > 0) << i);
		if (f[i].n > PH_REC_MAX)
			return -EMSGSIZE;
		bytes += f[i].n > 0 ? 4 + f[i].n : 0;
	}
	bytes += numbers ? 16 : 0;
	if (bytes > PH_REC_MAX)
		return -EMSGSIZE;
	if (ph_buf_reserve(out, PH_REC_HEAD + (size_t)PH_REC_ALIGN(bytes)) < 0)
		return -ENOBUFS;
	head = (unsigned char *)out->data + out->len;
	p = head + PH_REC_HEAD;
	memset(p, 0, (size_t)PH_REC_ALIGN(bytes));
	p[0] = (unsigned char)(has | (numbers ? HAS_NUMBERS : 0));
	p[1] = rec->status;
	p[2] = (unsigned char)id;
	ph_put32(p + 4, rec->rcpt);
	ph_put64(p + 8, (uint64_t)rec->time_ms);
	p += FIXED;
	if (numbers) {
		ph_put64(p, rec->number);
		ph_put64(p + 8, rec->number2);
		p += 16;
	}
	memcpy(p, rec->queue_id, id);
	p += id;
	for (i = 0; i < PH_ARRAY_LEN(f); i++) {
		if (f[i].n == 0)
			continue;
		ph_put32(p, (uint32_t)f[i].n);
		memcpy(p + 4, f[i].p, f[i].n);
		p += 4 + f[i].n;
	}
	ph_rec_seal(head, (uint8_t)(PH_REC_JOURNAL + rec->type), (uint32_t)bytes, 0, 0);
	out->len += PH_REC_HEAD + (size_t)PH_REC_ALIGN(bytes);
	out->data[out->len] = '\0';
	return 0;
}

static bool payload_read(const unsigned char *p, size_t n, struct ph_journal_rec *ret)
{
	struct ph_slice *f[6] = { &ret->dsn, &ret->text, &ret->relay, &ret->mta, &ret->diag, &ret->blob };
	size_t id, len, i;
	unsigned has;

	if (n < FIXED)
		return false;
	has = p[0];
	ret->status = p[1];
	id = p[2];
	ret->rcpt = ph_get32(p + 4);
	ret->time_ms = (int64_t)ph_get64(p + 8);
	p += FIXED;
	n -= FIXED;
	if (has & HAS_NUMBERS) {
		if (n < 16)
			return false;
		ret->number = ph_get64(p);
		ret->number2 = ph_get64(p + 8);
		p += 16;
		n -= 16;
	}
	if (id >= PH_QUEUE_ID_MAX || id > n || memchr(p, '\0', id))
		return false;
	memcpy(ret->queue_id, p, id);
	p += id;
	n -= id;
	for (i = 0; i < PH_ARRAY_LEN(f); i++) {
		*f[i] = (struct ph_slice){ "", 0 };
		if ((has >> i & 1) == 0)
			continue;
		if (n < 4 || (len = ph_get32(p)) > n - 4)
			return false;
		*f[i] = (struct ph_slice){ (const char *)p + 4, len };
		p += 4 + len;
		n -= 4 + len;
	}
	return n == 0;
}

ssize_t ph_journal_decode(struct ph_slice in, struct ph_journal_rec *ret)
{
	const unsigned char *p = (const unsigned char *)in.p;
	struct ph_rec rec;
	size_t total;

	if (in.n < PH_REC_HEAD)
		return 0;
	if (!ph_rec_parse(p, &rec) || rec.type <= PH_REC_JOURNAL)
		return -EBADMSG;
	total = PH_REC_HEAD + (size_t)PH_REC_ALIGN(rec.length);
	if (in.n < total)
		return 0;
	memset(ret, 0, sizeof(*ret));
	if (!ph_rec_check(p, &rec, 0, 0) || !payload_read(rec.payload, rec.length, ret))
		return -EBADMSG;
	ret->type = (enum ph_journal_type)(rec.type - PH_REC_JOURNAL);
	return (ssize_t)total;
}

bool ph_journal_file_valid(const char *file)
{
	const char *p = file + 8;

	if (strnlen(file, 64) >= 64 || strncmp(file, "journal/", 8) != 0 || *p == '.' || *p == '\0')
		return false;
	return strspn(p, "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz.-_") == strlen(p);
}

/* ---- a file ------------------------------------------------------------------------------- */

/* The record at offset at: its bytes, or 0 when there is none. */
static size_t record_at(struct ph_window *w, uint64_t at, struct ph_journal_rec *rec)
{
	const unsigned char *p = ph_window_get(w, at, PH_REC_HEAD);
	struct ph_rec head;
	size_t total;
	ssize_t n;

	if (p == NULL || !ph_rec_parse(p, &head))
		return 0;
	total = PH_REC_HEAD + (size_t)PH_REC_ALIGN(head.length);
	p = ph_window_get(w, at, total);
	if (p == NULL)
		return 0;
	n = ph_journal_decode((struct ph_slice){ (const char *)p, total }, rec);
	return n > 0 ? (size_t)n : 0;
}

/* The next intact record behind damage at at; 0: none.  Byte by byte: a fragment of a write that failed has any length. */
static uint64_t resync(struct ph_window *w, uint64_t at)
{
	struct ph_journal_rec rec;
	const unsigned char *p;

	while ((p = ph_window_get(w, ++at, PH_REC_HEAD)) != NULL)
		if (ph_get32(p) == PH_REC_MAGIC && record_at(w, at, &rec) > 0)
			return at;
	return 0;
}

int ph_journal_read(int queue_dirfd, const char *file, uint64_t *offset, int (*fn)(void *arg, const struct ph_journal_rec *rec), void *arg,
		    struct ph_err *err)
{
	struct ph_journal_rec rec;
	struct ph_window w;
	uint64_t next;
	size_t n;
	int r;

	if (!ph_journal_file_valid(file))
		return ph_err_set(err, -EINVAL, "%s: not the name of a journal", file);
	r = ph_window_open(&w, queue_dirfd, file);
	if (r < 0) {
		ph_err_errno(err, r, "open %s", file);
		goto out;
	}
	for (;;) {
		n = record_at(&w, *offset, &rec);
		if (n == 0) {
			next = resync(&w, *offset);
			if (next == 0)
				break;
			ph_log(PH_LOG_WARNING, "%s: skipping %llu damaged bytes at %llu", file, (unsigned long long)(next - *offset),
			       (unsigned long long)*offset);
			*offset = next;
			continue;
		}
		*offset += n;
		if (rec.type > PH_J_LAST)
			continue;       /* of a later version */
		r = fn(arg, &rec);
		if (r != 0)
			break;
	}
out:
	ph_window_close(&w);
	return r;
}
