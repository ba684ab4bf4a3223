/* scan.c: all messages of a file, whatever happened to it.
 *
 * Reads sequentially in large pieces and checks every record.  After damage it looks for the next beginning of a message; what lies between is
 * reported when something intact follows, when it was committed (limit), or when a message ends in it; else it is a torn tail.  Blocks
 * unreadable for the disk are damage.
 * No state beyond one call; any thread; blocks. */
#include <errno.h>
#include <stdlib.h>

#include "queue/window.h"

struct scan {
	struct ph_window w;
	const char *file;
	uint64_t instance, end;         /* end: nothing behind it counts */
	bool limited;
	int (*fn)(void *arg, const struct ph_msg_ref *ref, struct ph_slice envelope);
	void (*torn)(void *arg, const struct ph_msg_ref *ref);
	void *arg;
	uint64_t bad_from;              /* 0: no damage open */
	uint64_t bad_end;               /* end of the last END record that was passed since; 0: none */
	char bad_id[PH_QUEUE_ID_MAX];
};

/* The record at offset at, whole and intact.  NULL: it is not. */
static const unsigned char *record_get(struct scan *s, uint64_t at, struct ph_rec *rec)
{
	const unsigned char *p = ph_window_get(&s->w, at, PH_REC_HEAD);
	uint32_t length;

	if (p == NULL || !ph_rec_parse(p, rec))
		return NULL;
	length = rec->length;
	p = ph_window_get(&s->w, at, PH_REC_HEAD + (size_t)PH_REC_ALIGN(length));
	if (p == NULL || !ph_rec_parse(p, rec) || !ph_rec_check(p, rec, s->instance, at))
		return NULL;
	return p;
}

/* ---- one message -------------------------------------------------------------------------- */

static bool head_get(struct scan *s, uint64_t at, struct ph_msg_head *ret)
{
	const unsigned char *p = ph_window_get(&s->w, at, PH_MSG_REC);

	return p && ph_msg_head_decode(p, s->instance, at, ret) == 0;
}

/* ENVELOPE at env_at and END behind it.  The envelope's bytes are valid until the next look at the window. */
static bool end_get(struct scan *s, struct ph_msg_ref *ref, uint64_t env_at, uint64_t content_bytes, uint32_t n_content,
		    struct ph_slice *ret_env)
{
	size_t env_len = ref->env_length - PH_REC_HEAD, n = (size_t)PH_REC_ALIGN(ref->env_length) + PH_END_REC;
	const unsigned char *p = ph_window_get(&s->w, env_at, n);
	uint64_t end_at = env_at + PH_REC_ALIGN(ref->env_length);
	struct ph_msg_end e;

	if (p == NULL || ph_msg_end_decode(p + n - PH_END_REC, s->instance, end_at, &e) < 0)
		return false;
	ref->length = end_at + PH_END_REC - ref->offset;
	*ret_env = (struct ph_slice){ (const char *)p + PH_REC_HEAD, env_len };
	return e.total == ref->length && e.content_bytes == content_bytes && e.n_content == n_content;
}

/* The message at offset at: false when anything of it is wrong. */
static bool message_get(struct scan *s, uint64_t at, struct ph_msg_ref *ref, struct ph_slice *ret_env)
{
	uint64_t pos = at + PH_MSG_REC, content = 0;
	struct ph_msg_head h;
	struct ph_rec rec;
	uint32_t n = 0;

	if (!head_get(s, at, &h))
		return false;
	memset(ref, 0, sizeof(*ref));
	memcpy(ref->queue_id, h.queue_id, sizeof(ref->queue_id));
	memcpy(ref->file, s->file, strlen(s->file));
	ref->instance = s->instance;
	ref->offset = at;
	for (;;) {
		if (record_get(s, pos, &rec) == NULL)
			return false;
		if (rec.type != PH_REC_CONTENT)
			break;
		content += rec.length;
		n++;
		pos += PH_REC_HEAD + PH_REC_ALIGN(rec.length);
	}
	ref->env_length = PH_REC_HEAD + rec.length;
	if (rec.type != PH_REC_ENVELOPE || !end_get(s, ref, pos, content, n, ret_env))
		return false;
	return h.total == 0 || h.total == ref->length;
}

/* ---- all of them -------------------------------------------------------------------------- */

enum found { NOTHING, MESSAGE, VOID, CLOSE };

/* What is at offset at?  *ret_length: where to go on. */
static enum found look(struct scan *s, uint64_t at, struct ph_msg_ref *ref, struct ph_slice *env, uint64_t *ret_length)
{
	const unsigned char *p = ph_window_get(&s->w, at, PH_REC_HEAD);
	struct ph_rec rec;

	if (p == NULL || !ph_rec_parse(p, &rec))
		return NOTHING;
	switch (rec.type) {
	case PH_REC_MESSAGE:
		if (!message_get(s, at, ref, env))
			return NOTHING;
		*ret_length = ref->length;
		return MESSAGE;
	case PH_REC_VOID:
		if (rec.length != PH_VOID_REC - PH_REC_HEAD || record_get(s, at, &rec) == NULL)
			return NOTHING;
		*ret_length = ph_get64(rec.payload);
		return *ret_length >= PH_VOID_REC && *ret_length % 8 == 0 && *ret_length <= s->w.size ? VOID : NOTHING;
	case PH_REC_CLOSE:
		return rec.length == 0 && record_get(s, at, &rec) ? CLOSE : NOTHING;
	default:
		return NOTHING;
	}
}

/* A message ended here whose beginning is damaged: so it was complete. */
static void end_passed(struct scan *s, uint64_t at)
{
	const unsigned char *p = s->instance ? ph_window_get(&s->w, at, PH_END_REC) : NULL;
	struct ph_msg_end e;

	if (p && at + PH_END_REC <= s->end && ph_msg_end_decode(p, s->instance, at, &e) == 0)
		s->bad_end = at + PH_END_REC;
}

/* The next place from at on where something may begin; s->end: none. */
static uint64_t resync(struct scan *s, uint64_t at)
{
	const unsigned char *p;
	struct ph_rec rec;
	struct ph_msg_head h;

	for (; at + PH_REC_HEAD <= s->end; at += 8) {
		p = ph_window_get(&s->w, at, PH_REC_HEAD);
		if (p == NULL)
			break;
		if (ph_get32(p) != PH_REC_MAGIC || !ph_rec_parse(p, &rec))
			continue;
		if (rec.type == PH_REC_MESSAGE && head_get(s, at, &h))
			return at;
		if (rec.type == PH_REC_VOID || rec.type == PH_REC_CLOSE)
			return at;      /* look decides */
		if (rec.type == PH_REC_END)
			end_passed(s, at);
	}
	return s->end;
}

static void bad_open(struct scan *s, uint64_t at)
{
	struct ph_msg_head h;

	if (s->bad_from)
		return;
	s->bad_from = at;
	s->bad_end = 0;
	s->bad_id[0] = '\0';
	if (head_get(s, at, &h))
		memcpy(s->bad_id, h.queue_id, sizeof(s->bad_id));
}

static int bad_report(struct scan *s, uint64_t to)
{
	struct ph_msg_ref ref = { .instance = s->instance, .offset = s->bad_from, .length = to - s->bad_from };

	if (s->bad_from == 0 || to <= s->bad_from)
		return 0;
	memcpy(ref.file, s->file, strlen(s->file));
	memcpy(ref.queue_id, s->bad_id, sizeof(ref.queue_id));
	s->bad_from = 0;
	return s->fn(s->arg, &ref, (struct ph_slice){ NULL, 0 });
}

/* The file ends in a damaged stretch.  Up to the last END in it messages were complete; what begins behind that may be an unfinished write. */
static int tail_report(struct scan *s)
{
	struct ph_msg_ref ref = { .instance = s->instance };
	uint64_t at = s->bad_end ? s->bad_end : s->bad_from;
	struct ph_msg_head h;
	int r = 0;

	if (s->bad_from == 0)
		return 0;
	if (s->bad_end)
		r = bad_report(s, s->bad_end);
	memcpy(ref.file, s->file, strlen(s->file));
	for (; s->torn && r == 0 && at < s->end; at = resync(s, at + 8)) {
		if (!head_get(s, at, &h))
			continue;
		memcpy(ref.queue_id, h.queue_id, sizeof(ref.queue_id));
		ref.offset = at;
		ref.length = h.total && h.total < s->end - at ? h.total : s->end - at;
		s->torn(s->arg, &ref);
	}
	return r;
}

static int walk(struct scan *s)
{
	uint64_t at = PH_SEGMENT_START, length = 0;
	struct ph_msg_ref ref;
	struct ph_slice env;
	enum found found;
	int r = 0;

	while (r == 0 && at + PH_REC_HEAD <= s->end) {
		found = look(s, at, &ref, &env, &length);
		if (found == NOTHING) {
			bad_open(s, at);
			at = resync(s, at + 8);
			continue;
		}
		if (found != CLOSE && at + length > s->end)
			return 0;       /* behind the limit: not acknowledged */
		if (s->bad_from) {
			r = bad_report(s, at);
			if (r != 0)
				break;
			found = look(s, at, &ref, &env, &length);       /* the callback took its time; env points into the window */
		}
		if (found == CLOSE)
			return 0;
		if (found == MESSAGE)
			r = s->fn(s->arg, &ref, env);
		at += length;
	}
	if (r == 0 && s->limited) {
		if (at < s->end && s->bad_from == 0)
			bad_open(s, at);
		return bad_report(s, s->end);
	}
	return r == 0 ? tail_report(s) : r;
}

/* The header is lost: the newest use of the file that has a message in it. */
static uint64_t instance_guess(struct scan *s)
{
	uint64_t at, best = 0;
	struct ph_msg_head h;

	for (at = PH_SEGMENT_START; (at = resync(s, at)) < s->end; at += 8)
		if (head_get(s, at, &h) && h.instance > best)
			best = h.instance;
	return best;
}

static void scan_begin(struct scan *s, uint64_t limit)
{
	const unsigned char *p;
	struct ph_file_header h;
	int r;

	s->limited = limit != 0;
	s->end = s->limited ? limit : s->w.size;
	p = ph_window_get(&s->w, 0, PH_SEGMENT_START);
	if (p == NULL)
		return;
	r = ph_file_header_decode(p, &h);
	s->instance = r == 1 ? h.instance : instance_guess(s);
	if (r != 1 && s->instance != 0)
		ph_log(PH_LOG_WARNING, "%s: damaged file header, going by its messages", s->file);
}

static int scan_all(struct scan *s, uint64_t limit)
{
	scan_begin(s, limit);
	return s->instance != 0 || s->limited ? walk(s) : 0;
}

int ph_segment_scan(int queue_dirfd, const char *file, uint64_t limit,
		    int (*fn)(void *arg, const struct ph_msg_ref *ref, struct ph_slice envelope), void *arg, struct ph_err *err)
{
	return ph_segment_scan_torn(queue_dirfd, file, limit, fn, NULL, arg, err);
}

int ph_segment_scan_torn(int queue_dirfd, const char *file, uint64_t limit,
			 int (*fn)(void *arg, const struct ph_msg_ref *ref, struct ph_slice envelope),
			 void (*torn)(void *arg, const struct ph_msg_ref *ref), void *arg, struct ph_err *err)
{
	struct scan s = { .file = file, .fn = fn, .torn = torn, .arg = arg };
	int r;

	if (!ph_store_file_valid(file))
		return ph_err_set(err, -EINVAL, "%s: not the name of a queue file", file);
	r = ph_window_open(&s.w, queue_dirfd, file);
	if (r < 0)
		ph_err_errno(err, r, "open %s", file);
	else
		r = scan_all(&s, limit);
	ph_window_close(&s.w);
	return r;
}

int ph_segment_scan_fd(int fd, int (*fn)(void *arg, const struct ph_msg_ref *ref, struct ph_slice envelope), void *arg, struct ph_err *err)
{
	struct scan s = { .file = "incoming/file", .fn = fn, .arg = arg };
	int r = ph_window_fd(&s.w, fd);

	if (r < 0)
		ph_err_errno(err, r, "read file");
	else
		r = scan_all(&s, 0);
	ph_window_close(&s.w);
	return r;
}
