/* Queue files: scanning and reading any bytes.  The file begins with a right header and messages of which some parts are taken from the
 * input, so that checksums are right at the beginning and wrong where the input says so.
 * Input: byte 0: kind; then (u16 place, u8 value) triples that are put over a good segment (kind even), or a raw file (odd). */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "queue/record.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

#define INSTANCE ((uint64_t)7 << 32 | 1)
static unsigned char good[32768];
static size_t good_bytes;

/* Three messages and a void, sealed. */
static void good_make(void)
{
	static struct ph_rcpt rcpt = { .address = "a@example.com", .original = "a@example.com" };
	struct ph_envelope env = { .sender = "s@example.org", .encoding = "8bit", .n_rcpts = 1, .rcpts = &rcpt };
	struct ph_file_header fh = { .instance = INSTANCE, .file = "incoming/file" };
	struct ph_buf b = PH_BUF_INIT(65536);
	uint64_t at = PH_SEGMENT_START, pos;
	int i;

	ph_file_header_encode(&fh, good);
	ph_envelope_encode(&env, &b);
	for (i = 0; i < 4; i++) {
		size_t content = (size_t)(i * 700 + 3);
		struct ph_msg_head h = { .instance = INSTANCE, .queue_id = "4jYQ7r2R23z0001" };
		struct ph_msg_end e = { .content_bytes = content, .n_content = 1 };

		h.total = PH_MSG_REC + PH_REC_HEAD + PH_REC_ALIGN(content) + PH_REC_HEAD + PH_REC_ALIGN(b.len) + PH_END_REC;
		e.total = h.total;
		ph_msg_head_encode(good + at, &h, at);
		pos = at + PH_MSG_REC;
		memset(good + pos + PH_REC_HEAD, 'x', content);
		ph_rec_seal(good + pos, PH_REC_CONTENT, (uint32_t)content, INSTANCE, pos);
		pos += PH_REC_HEAD + PH_REC_ALIGN(content);
		memcpy(good + pos + PH_REC_HEAD, b.data, b.len);
		ph_rec_seal(good + pos, PH_REC_ENVELOPE, (uint32_t)b.len, INSTANCE, pos);
		pos += PH_REC_HEAD + PH_REC_ALIGN(b.len);
		ph_msg_end_encode(good + pos, &e, INSTANCE, pos);
		if (i == 2) {
			ph_put64(good + at + PH_REC_HEAD, h.total);
			ph_rec_seal(good + at, PH_REC_VOID, 8, INSTANCE, at);
		}
		at += h.total;
	}
	good_bytes = (size_t)at;
	ph_buf_done(&b);
}

static int see(void *arg, const struct ph_msg_ref *ref, struct ph_slice env)
{
	struct ph_arena *arena;
	struct ph_stored *m;
	struct ph_err err;
	char buf[4096];

	if (ref->env_length == 0)
		return 0;
	arena = ph_arena_new();
	/* What a scan calls intact must be readable. */
	if (ph_stored_open_fd(*(int *)arg, ref, arena, &m, &err) < 0 || ph_stored_verify(m, &err) < 0 ||
	    ph_stored_read(m, 0, buf, sizeof(buf)) < 0)
		abort();
	ph_arena_free(&arena);
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	static int fd = -1;
	static unsigned char bytes[sizeof(good)];
	struct ph_err err;
	size_t i, size, limit;

	if (fd < 0) {
		fd = memfd_create("segment", MFD_CLOEXEC);
		good_make();
	}
	if (n == 0)
		return 0;
	limit = sizeof(bytes) < n - 1 ? sizeof(bytes) : n - 1;
	if (data[0] & 1) {
		memcpy(bytes, data + 1, size = limit);
	} else {
		memcpy(bytes, good, size = good_bytes);
		for (i = 1; i + 3 <= n; i += 3)
			bytes[(data[i] | data[i + 1] << 8) % good_bytes] = data[i + 2];
	}
	if (ftruncate(fd, (off_t)size) < 0 || pwrite(fd, bytes, size, 0) != (ssize_t)size)
		abort();
	ph_segment_scan_fd(fd, see, &fd, &err);
	return 0;
}
