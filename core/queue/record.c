/* record.c: encoding and checking of single records; see record.h.  No state; no yield; any thread. */
#include <errno.h>
#include <sys/random.h>

#include "base/crc32c.h"
#include "queue/record.h"

static const char file_magic[8] = { 'P', 'H', 'S', 'T', 'O', 'R', 'E', '1' };
static const char msg_magic[8] = { 'P', 'H', 'm', 's', 'g', 0x1a, '\n', 1 };
#define FILE_VERSION 1

uint32_t ph_rec_crc_begin(uint64_t instance, uint64_t offset)
{
	unsigned char seed[16];

	ph_put64(seed, instance);
	ph_put64(seed + 8, offset);
	return ph_crc32c(0, seed, sizeof(seed));
}

void ph_rec_head(unsigned char *head, uint8_t type, uint32_t length, uint32_t crc)
{
	ph_put32(head, PH_REC_MAGIC);
	ph_put32(head + 8, length);
	head[12] = type;
	head[13] = head[14] = head[15] = 0;
	ph_put32(head + 4, ph_crc32c(crc, head + 8, 8));
}

void ph_rec_seal(unsigned char *head, uint8_t type, uint32_t length, uint64_t instance, uint64_t offset)
{
	uint32_t crc = ph_rec_crc_begin(instance, offset);

	ph_rec_head(head, type, length, ph_crc32c(crc, head + PH_REC_HEAD, length));
}

bool ph_rec_parse(const unsigned char *head, struct ph_rec *ret)
{
	ret->crc = ph_get32(head + 4);
	ret->length = ph_get32(head + 8);
	ret->type = head[12];
	ret->payload = head + PH_REC_HEAD;
	return ph_get32(head) == PH_REC_MAGIC && ret->length <= PH_REC_MAX && ret->type != 0 &&
	       head[13] == 0 && head[14] == 0 && head[15] == 0;
}

bool ph_rec_check(const unsigned char *head, const struct ph_rec *rec, uint64_t instance, uint64_t offset)
{
	uint32_t crc = ph_rec_crc_begin(instance, offset);

	crc = ph_crc32c(crc, rec->payload, rec->length);
	return ph_crc32c(crc, head + 8, 8) == rec->crc;
}

/* ---- the file header ---------------------------------------------------------------------- */

static void file_rec_encode(const struct ph_file_header *h, unsigned char *rec, uint64_t offset)
{
	unsigned char *p = rec + PH_REC_HEAD;

	memcpy(p, file_magic, 8);
	ph_put32(p + 8, FILE_VERSION);
	ph_put32(p + 12, PH_SEGMENT_START);
	ph_put64(p + 16, h->instance);
	ph_put64(p + 24, (uint64_t)h->created_us);
	memcpy(p + 32, h->file, PH_STORE_FILE_MAX);
	ph_rec_seal(rec, PH_REC_FILE, PH_FILE_REC - PH_REC_HEAD, 0, offset);
}

void ph_file_header_encode(const struct ph_file_header *h, unsigned char *page)
{
	memset(page, 0, PH_SEGMENT_START);
	file_rec_encode(h, page, 0);
	file_rec_encode(h, page + PH_FILE_COPY, PH_FILE_COPY);
}

static bool file_rec_decode(const unsigned char *head, uint64_t offset, struct ph_file_header *ret)
{
	struct ph_rec rec;
	const unsigned char *p = head + PH_REC_HEAD;

	if (!ph_rec_parse(head, &rec) || rec.type != PH_REC_FILE || rec.length != PH_FILE_REC - PH_REC_HEAD ||
	    !ph_rec_check(head, &rec, 0, offset))
		return false;
	if (memcmp(p, file_magic, 8) != 0 || ph_get32(p + 8) != FILE_VERSION || ph_get32(p + 12) != PH_SEGMENT_START)
		return false;
	ret->instance = ph_get64(p + 16);
	ret->created_us = (int64_t)ph_get64(p + 24);
	memcpy(ret->file, p + 32, PH_STORE_FILE_MAX);
	return ret->instance != 0 && ret->file[PH_STORE_FILE_MAX - 1] == '\0';
}

int ph_file_header_decode(const unsigned char *page, struct ph_file_header *ret)
{
	size_t i;

	if (file_rec_decode(page, 0, ret) || file_rec_decode(page + PH_FILE_COPY, PH_FILE_COPY, ret))
		return 1;
	for (i = 0; i < PH_SEGMENT_START && page[i] == 0; i++)
		;
	return i == PH_SEGMENT_START ? 0 : -EBADMSG;
}

uint64_t ph_instance_new(uint64_t older)
{
	uint64_t seconds = (uint64_t)(ph_wall_us() / 1000000) & 0xffffffffu;
	uint32_t r;

	ph_assert(getrandom(&r, sizeof(r), 0) == sizeof(r));
	if (seconds <= older >> 32)
		seconds = (older >> 32) + 1;
	return seconds << 32 | r;
}

/* ---- the records of a message ------------------------------------------------------------- */

void ph_msg_head_encode(unsigned char *rec, const struct ph_msg_head *h, uint64_t offset)
{
	unsigned char *p = rec + PH_REC_HEAD;

	memset(p, 0, PH_MSG_REC - PH_REC_HEAD);
	memcpy(p, msg_magic, 8);
	ph_put64(p + 8, h->instance);
	ph_put64(p + 16, h->total);
	memcpy(p + 24, h->queue_id, strnlen(h->queue_id, PH_QUEUE_ID_MAX - 1));
	ph_rec_seal(rec, PH_REC_MESSAGE, PH_MSG_REC - PH_REC_HEAD, h->instance, offset);
}

int ph_msg_head_decode(const unsigned char *head, uint64_t instance, uint64_t offset, struct ph_msg_head *ret)
{
	const unsigned char *p = head + PH_REC_HEAD;
	struct ph_rec rec;

	if (!ph_rec_parse(head, &rec) || rec.type != PH_REC_MESSAGE || rec.length != PH_MSG_REC - PH_REC_HEAD ||
	    memcmp(p, msg_magic, 8) != 0)
		return -EBADMSG;
	ret->instance = ph_get64(p + 8);
	ret->total = ph_get64(p + 16);
	if (instance != 0 && ret->instance != instance)
		return -EBADMSG;
	if (!ph_rec_check(head, &rec, ret->instance, offset))
		return -EBADMSG;
	memcpy(ret->queue_id, p + 24, PH_QUEUE_ID_MAX);
	ret->queue_id[PH_QUEUE_ID_MAX - 1] = '\0';
	if (!ph_queue_id_valid(ret->queue_id) || ret->total % 8 != 0)
		return -EBADMSG;
	return 0;
}

void ph_msg_end_encode(unsigned char *rec, const struct ph_msg_end *e, uint64_t instance, uint64_t offset)
{
	unsigned char *p = rec + PH_REC_HEAD;

	ph_put64(p, e->total);
	ph_put64(p + 8, e->content_bytes);
	ph_put32(p + 16, e->n_content);
	ph_put32(p + 20, 0);
	ph_rec_seal(rec, PH_REC_END, PH_END_REC - PH_REC_HEAD, instance, offset);
}

int ph_msg_end_decode(const unsigned char *head, uint64_t instance, uint64_t offset, struct ph_msg_end *ret)
{
	struct ph_rec rec;

	if (!ph_rec_parse(head, &rec) || rec.type != PH_REC_END || rec.length != PH_END_REC - PH_REC_HEAD ||
	    !ph_rec_check(head, &rec, instance, offset))
		return -EBADMSG;
	ret->total = ph_get64(rec.payload);
	ret->content_bytes = ph_get64(rec.payload + 8);
	ret->n_content = ph_get32(rec.payload + 16);
	return 0;
}

bool ph_store_file_valid(const char *file)
{
	const char *p = file + 9;

	if (strnlen(file, PH_STORE_FILE_MAX) >= PH_STORE_FILE_MAX || strncmp(file, "incoming/", 9) != 0 || *p == '.' || *p == '\0')
		return false;
	return strspn(p, "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz.") == strlen(p);
}
