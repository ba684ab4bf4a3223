/* record.h: the records that segments, message files and journals are made of.
 *
 * Little-endian, 8-byte aligned: u32 magic, u32 crc, u32 length of the payload, u8 type, u8 and u16 zero, payload, zeros up to the next
 * multiple of 8.  crc is the CRC-32C of: u64 instance, u64 offset of the record in its file, payload, the eight bytes from length on.
 * The instance is a number that each use of a file draws anew, so neither what an earlier use left behind nor what a sender puts into a
 * message can look like a record.  doc/architecture.md has the payloads byte by byte.  Pure; nothing yields; any thread. */
#ifndef CORE_QUEUE_RECORD_H
#define CORE_QUEUE_RECORD_H

#include <string.h>

#include "queue/store.h"

#define PH_REC_MAGIC 0x31524850u        /* "PHR1" */
#define PH_REC_HEAD 16
#define PH_REC_MAX ((uint32_t)16 * 1024 * 1024)         /* payload; more is not a record */
#define PH_REC_ALIGN(n) (((n) + 7) & ~(uint64_t)7)

enum ph_rec_type {
	PH_REC_FILE = 1,        /* file header: at offset 0, and a copy at PH_FILE_COPY */
	PH_REC_MESSAGE,         /* a message begins */
	PH_REC_CONTENT,
	PH_REC_ENVELOPE,
	PH_REC_END,             /* a message is complete */
	PH_REC_VOID,            /* stands where MESSAGE stood: the message was refused */
	PH_REC_CLOSE,           /* the writer has left this segment: nothing follows */
	PH_REC_JOURNAL = 64,    /* + enum ph_journal_type */
};

struct ph_rec {
	uint8_t type;
	uint32_t length;                /* of payload */
	uint32_t crc;
	const unsigned char *payload;   /* behind the head that was parsed; maybe not there yet */
};

uint32_t ph_rec_crc_begin(uint64_t instance, uint64_t offset);  /* go on with ph_crc32c over the payload */
/* Write a record's head; crc: of the payload, from crc_begin on. */
void ph_rec_head(unsigned char *head, uint8_t type, uint32_t length, uint32_t crc);
/* Head and checksum of the record whose payload lies already behind head. */
void ph_rec_seal(unsigned char *head, uint8_t type, uint32_t length, uint64_t instance, uint64_t offset);
/* Look at PH_REC_HEAD bytes: is this a head at all?  The checksum is not looked at. */
bool ph_rec_parse(const unsigned char *head, struct ph_rec *ret);
/* rec, with its whole payload in memory, has the right checksum. */
bool ph_rec_check(const unsigned char *head, const struct ph_rec *rec, uint64_t instance, uint64_t offset);

static inline uint32_t ph_get32(const unsigned char *p)
{
	return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static inline uint64_t ph_get64(const unsigned char *p)
{
	return ph_get32(p) | (uint64_t)ph_get32(p + 4) << 32;
}

static inline void ph_put32(unsigned char *p, uint32_t v)
{
	p[0] = (unsigned char)v;
	p[1] = (unsigned char)(v >> 8);
	p[2] = (unsigned char)(v >> 16);
	p[3] = (unsigned char)(v >> 24);
}

static inline void ph_put64(unsigned char *p, uint64_t v)
{
	ph_put32(p, (uint32_t)v);
	ph_put32(p + 4, (uint32_t)(v >> 32));
}

/* ---- the file header ---- */
#define PH_FILE_COPY 2048               /* where its copy lies */
#define PH_FILE_REC (PH_REC_HEAD + 32 + PH_STORE_FILE_MAX)

struct ph_file_header {
	uint64_t instance;
	int64_t created_us;
	char file[PH_STORE_FILE_MAX];   /* the name under which this use of the file began */
};
/* page: PH_SEGMENT_START bytes. */
void ph_file_header_encode(const struct ph_file_header *h, unsigned char *page);
/* 1 and *ret: one of the copies is intact.  0: the page is all zeros.  -EBADMSG. */
int ph_file_header_decode(const unsigned char *page, struct ph_file_header *ret);
/* A number for a new use of a file: rises with time (and above older), cannot be guessed. */
uint64_t ph_instance_new(uint64_t older);

/* ---- the records of a message ---- */
#define PH_MSG_REC (PH_REC_HEAD + 64)           /* MESSAGE */
#define PH_END_REC (PH_REC_HEAD + 24)           /* END */
#define PH_VOID_REC (PH_REC_HEAD + 8)           /* VOID: u64 bytes to skip from its offset on */
#define PH_STORE_CHUNK ((uint32_t)256 * 1024)   /* content bytes in each CONTENT record of a message file but the last */
#define PH_ENV_MAX ((uint32_t)15 * 1024 * 1024) /* encoded envelope; one fits an ipc frame */

struct ph_msg_head {
	uint64_t instance;
	uint64_t total;                 /* bytes from MESSAGE to behind END; 0: not known when it was written */
	char queue_id[PH_QUEUE_ID_MAX];
};
struct ph_msg_end {
	uint64_t total, content_bytes;
	uint32_t n_content;             /* CONTENT records */
};
void ph_msg_head_encode(unsigned char *rec, const struct ph_msg_head *h, uint64_t offset);
/* rec: PH_MSG_REC bytes found at offset.  instance 0: that of the record itself.  0 or -EBADMSG. */
int ph_msg_head_decode(const unsigned char *rec, uint64_t instance, uint64_t offset, struct ph_msg_head *ret);
void ph_msg_end_encode(unsigned char *rec, const struct ph_msg_end *e, uint64_t instance, uint64_t offset);
int ph_msg_end_decode(const unsigned char *rec, uint64_t instance, uint64_t offset, struct ph_msg_end *ret);

/* Where the ENVELOPE record of a message lies. */
static inline uint64_t ph_msg_env_at(const struct ph_msg_ref *ref)
{
	return ref->offset + ref->length - PH_END_REC - PH_REC_ALIGN(ref->env_length);
}

/* Where content byte offset of a message lies, and how many bytes follow it in its record. */
static inline uint64_t ph_msg_content_at(uint64_t msg_offset, uint64_t offset, size_t *ret_room)
{
	uint64_t chunk = offset / PH_STORE_CHUNK, in = offset % PH_STORE_CHUNK;

	*ret_room = (size_t)(PH_STORE_CHUNK - in);
	return msg_offset + PH_MSG_REC + chunk * (PH_REC_HEAD + (uint64_t)PH_STORE_CHUNK) + PH_REC_HEAD + in;
}

/* Is this the name of a file that may hold messages: "incoming/" and one component of letters, digits and dots (not the first)? */
bool ph_store_file_valid(const char *file);
#endif
