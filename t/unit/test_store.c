/* The store: segments, message files, readers, recycling, refusals.  Real files in a directory of its own; faults are switched on and off
 * through the file that PH_FAULT_FILE names. */
#include <errno.h>
#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/co_private.h"
#include "base/loop.h"
#include "queue/record.h"
#include "tap.h"

static char dir[256], fault_path[300];
static int dirfd_;
static unsigned serial;

static void fault(const char *text)
{
	FILE *f = fopen(fault_path, "w");

	/* A change is seen by size, time or inode; make the inode differ. */
	fclose(f);
	unlink(fault_path);
	f = fopen(fault_path, "w");
	fprintf(f, "%s%*s\n", text, (int)(serial++ % 50), "");
	fclose(f);
}

static struct ph_store *store_open(unsigned slot, size_t memory)
{
	struct ph_store_config cfg = { .queue_dir = dir, .slot = slot, .segment_bytes = 2 * 1024 * 1024, .memory_max = memory };
	struct ph_store *s = NULL;
	struct ph_err err = { 0 };

	ph_queue_id_init(slot);
	if (ph_store_open(&cfg, &s, &err) < 0)
		printf("# %s\n", err.text);
	return s;
}

/* Content that tells its number and offset. */
static void fill(unsigned char *p, size_t n, unsigned number, size_t from)
{
	size_t i;

	for (i = 0; i < n; i++)
		p[i] = (unsigned char)((from + i) * 2654435761u >> 11 ^ number * 7);
}

struct put {
	struct ph_store *s;
	unsigned number;
	size_t bytes, piece;
	int r;
	struct ph_msg_ref ref;
	bool done;
};

static struct ph_rcpt rcpts[] = { { .address = "a@example.com", .original = "a@example.com" },
				  { .address = "b@example.com", .original = "team@example.com", .dsn_orcpt = "rfc822;x", .dsn_notify = 6 } };
static struct ph_attr attrs[] = { { "client_name", "unknown" }, { "log_ident", "" } };
static struct ph_envelope envelope = { .arrival_us = 1234567, .sender = "s@example.org", .encoding = "8bit", .ret = "HDRS",
				       .flags = PH_ENV_8BIT, .n_attrs = 2, .attrs = attrs, .n_rcpts = 2, .rcpts = rcpts };

static void put(void *arg)
{
	struct put *p = arg;
	char id[PH_QUEUE_ID_MAX];
	struct ph_store_msg *m;
	struct ph_err err = { 0 };
	size_t at = 0, n;
	unsigned char *buf = ph_alloc(p->piece);

	ph_queue_id_new(id, true);
	m = ph_store_begin(p->s, id);
	for (; at < p->bytes && p->r == 0; at += n) {
		n = p->bytes - at < p->piece ? p->bytes - at : p->piece;
		fill(buf, n, p->number, at);
		p->r = ph_store_write(m, buf, n);
	}
	if (p->r == 0)
		p->r = ph_store_commit(&m, &envelope, &p->ref, &err);
	ph_store_abort(&m);
	free(buf);
	p->done = true;
}

static struct put put_now(struct ph_store *s, unsigned number, size_t bytes)
{
	struct put p = { .s = s, .number = number, .bytes = bytes, .piece = 1000 };

	put(&p);
	return p;
}

static bool same(const struct put *p)
{
	struct ph_arena *arena = ph_arena_new();
	struct ph_stored *m;
	struct ph_err err = { 0 };
	unsigned char *want = ph_alloc(p->bytes + 1), *got = ph_alloc(p->bytes + 1);
	bool ok = false;
	size_t half = p->bytes / 2;

	fill(want, p->bytes, p->number, 0);
	if (ph_stored_open(dirfd_, &p->ref, arena, &m, &err) < 0 || m->content_bytes != (int64_t)p->bytes) {
		printf("# %s\n", err.text);
		goto out;
	}
	ok = ph_stored_read(m, (int64_t)half, got + half, p->bytes - half + 100) == (ssize_t)(p->bytes - half) &&
	     ph_stored_read(m, 0, got, half) == (ssize_t)half && memcmp(want, got, p->bytes) == 0;
	if (ok && m->contiguous) {
		memset(got, 0, p->bytes);
		ok = ph_stored_content(m, got, &err) == 0 && memcmp(want, got, p->bytes) == 0;
	}
	ok = ok && ph_stored_verify(m, &err) == 0 && m->env->n_rcpts == 2 && strcmp(m->env->rcpts[1].original, "team@example.com") == 0 &&
	     m->env->content_bytes == (int64_t)p->bytes && ph_stored_read(m, (int64_t)p->bytes, got, 1) == 0;
	if (!ok)
		printf("# %s\n", err.text);
out:
	free(want);
	free(got);
	ph_arena_free(&arena);
	return ok;
}

/* ---- scanning ---- */

struct seen {
	int n, damaged;
	uint64_t damaged_bytes;
	char last[PH_QUEUE_ID_MAX];
	struct ph_msg_ref damage;
};

static int see(void *arg, const struct ph_msg_ref *ref, struct ph_slice env)
{
	struct seen *s = arg;

	if (ref->env_length == 0) {
		s->damaged++;
		s->damaged_bytes += ref->length;
		s->damage = *ref;
		return 0;
	}
	s->n++;
	memcpy(s->last, ref->queue_id, sizeof(s->last));
	return 0;
}

static struct seen scan(const char *file, uint64_t limit)
{
	struct seen s = { 0 };
	struct ph_err err = { 0 };

	if (ph_segment_scan(dirfd_, file, limit, see, &s, &err) < 0) {
		printf("# %s\n", err.text);
		s.n = -1;
	}
	return s;
}

static int count(const char *sub, char first)
{
	char path[300];
	struct dirent *e;
	int n = 0;
	DIR *d;

	snprintf(path, sizeof(path), "%s/%s", dir, sub);
	d = opendir(path);
	while (d && (e = readdir(d)) != NULL)
		n += first ? e->d_name[0] == first : e->d_name[0] != '.';
	closedir(d);
	return n;
}

static void overwrite(const char *file, uint64_t at, const char *bytes, size_t n)
{
	int fd = openat(dirfd_, file, O_WRONLY);

	if (pwrite(fd, bytes, n, (off_t)at) < 0)
		abort();
	close(fd);
}

/* ---- the tests ---- */

static void test_small(void)
{
	struct ph_store *s = store_open(1, 0);
	struct ph_msg_ref open[4];
	struct put p[5] = { put_now(s, 1, 3000), put_now(s, 2, 0), put_now(s, 3, 1), put_now(s, 4, PH_STORE_SMALL), put_now(s, 5, 8) };
	char file[PH_STORE_FILE_MAX];
	int i, good = 0;

	for (i = 0; i < 5; i++)
		good += p[i].r == 0 && same(&p[i]);
	tap_ok(good == 5, "messages of 0 bytes to 256 KiB come back as they were (%d)", good);
	tap_is(p[4].ref.file, p[0].ref.file, "they lie in one segment");
	tap_ok(p[0].ref.offset == PH_SEGMENT_START && p[1].ref.offset == p[0].ref.offset + p[0].ref.length, "side by side");
	tap_ok(ph_store_open_segments(s, open, 4) == 1 && open[0].offset == p[4].ref.offset + p[4].ref.length, "the committed end is known");
	tap_ok(scan(p[0].ref.file, 0).n == 5, "a scan finds them");
	tap_ok(scan(p[0].ref.file, p[2].ref.offset).n == 2, "a scan ends at its limit");
	memcpy(file, p[0].ref.file, sizeof(file));
	tap_ok(ph_segment_idle(dirfd_, file) == 0 && ph_segment_discard(dirfd_, file) == -EBUSY, "an open segment is not idle");
	ph_store_close(&s);
	tap_ok(ph_segment_idle(dirfd_, file) == 1, "a closed one is");
	tap_ok(scan(file, 0).n == 5 && scan(file, 0).damaged == 0, "its end is no damage");
	p[0].ref.instance++;
	tap_ok(!same(&p[0]), "a reference to another use of the file is refused");
}

static void test_large(void)
{
	struct ph_store *s = store_open(1, 0);
	struct put p = put_now(s, 9, 700001), q = { .s = s, .number = 3, .bytes = 2 * PH_STORE_CHUNK, .piece = 300000 };
	struct seen seen;

	tap_ok(p.r == 0 && same(&p), "a large message comes back");
	tap_ok(strchr(p.ref.file, '.') == NULL && p.ref.offset == PH_SEGMENT_START, "it has a file of its own");
	seen = scan(p.ref.file, 0);
	tap_ok(seen.n == 1 && strcmp(seen.last, p.ref.queue_id) == 0, "a scan finds it");
	put(&q);
	tap_ok(q.r == 0 && same(&q), "one of whole chunks, in large pieces");
	tap_ok(ph_segment_discard(dirfd_, p.ref.file) == 0 && ph_segment_discard(dirfd_, q.ref.file) == 0, "discarding removes the files");
	tap_ok(faccessat(dirfd_, p.ref.file, F_OK, 0) < 0, "it is gone");
	ph_store_close(&s);
}

static void test_edit(void)
{
	struct ph_store *s = store_open(1, 0);
	size_t sizes[2] = { 5000, 600000 };
	unsigned char *buf = ph_alloc(600000), *back = ph_alloc(600000);
	struct ph_err err;
	int i;

	for (i = 0; i < 2; i++) {
		char id[PH_QUEUE_ID_MAX];
		struct ph_store_msg *m;
		struct put p = { .number = 8, .bytes = 400000 * (size_t)i + 77 };

		ph_queue_id_new(id, false);
		m = ph_store_begin(s, id);
		fill(buf, sizes[i], 7, 0);
		tap_ok(ph_store_write(m, buf, sizes[i]) == 0 && ph_store_bytes(m) == (int64_t)sizes[i], "write %zu bytes", sizes[i]);
		tap_ok(ph_store_read(m, 10, back, 600000) == (ssize_t)sizes[i] - 10 && memcmp(back, buf + 10, sizes[i] - 10) == 0,
		       "read them back before they are committed");
		tap_ok(ph_store_rewrite(m) == 0 && ph_store_bytes(m) == 0, "begin anew");
		fill(buf, p.bytes, 8, 0);
		ph_store_write(m, buf, p.bytes);
		p.r = ph_store_commit(&m, &envelope, &p.ref, &err);
		tap_ok(p.r == 0 && m == NULL && same(&p), "only what was written then is there");
	}
	free(buf);
	free(back);
	ph_store_close(&s);
}

static void test_budget(void)
{
	struct ph_store *s = store_open(1, 64 * 1024);
	struct put p[30];
	int i, own = 0, good = 0;

	for (i = 0; i < 30; i++) {
		p[i] = (struct put){ .s = s, .number = (unsigned)i, .bytes = 20000, .piece = 1000 };
		ph_co_spawn("put", put, &p[i]);
	}
	for (i = 0; i < 30; i++)
		while (!p[i].done)
			ph_co_sleep(1);
	for (i = 0; i < 30; i++) {
		own += strchr(p[i].ref.file, '.') == NULL;
		good += p[i].r == 0 && same(&p[i]);
	}
	tap_ok(good == 30, "with a small budget all of 30 messages are there");
	printf("# %d in files of their own\n", own);
	for (i = 0; i < 30; i++)
		if (strchr(p[i].ref.file, '.') == NULL)
			ph_segment_discard(dirfd_, p[i].ref.file);
	ph_store_close(&s);
}

static void test_recycle(void)
{
	struct ph_store *s = store_open(2, 0);
	struct put p[40];
	char last[PH_STORE_FILE_MAX];
	int i, files = 1, good = 0;
	struct stat st;
	ino_t ino;

	for (i = 0; i < 40; i++) {
		p[i] = put_now(s, (unsigned)i, 200000);
		if (i > 0 && strcmp(p[i].ref.file, p[i - 1].ref.file) != 0)
			files++;
		good += p[i].r == 0 && same(&p[i]);
	}
	tap_ok(good == 40 && files == 4, "40 messages of 200000 bytes take %d segments of 2 MiB", files);
	fstatat(dirfd_, p[0].ref.file, &st, 0);
	ino = st.st_ino;
	tap_ok(ph_segment_discard(dirfd_, p[0].ref.file) == 0 && count("spare", 'S') == 1, "one without live messages becomes a spare");
	memcpy(last, p[39].ref.file, sizeof(last));
	for (i = 0; i < 40; i++)
		p[i] = put_now(s, (unsigned)i, 200000);
	for (i = 0; i < 40; i++) {
		fstatat(dirfd_, p[i].ref.file, &st, 0);
		if (st.st_ino == ino)
			break;
	}
	tap_ok(i < 40, "which is used again under a new name");
	tap_ok(i < 40 && same(&p[i]) && scan(p[i].ref.file, 0).damaged == 0, "and shows nothing of its first use");
	ph_store_close(&s);
	s = store_open(2, 0);
	p[0] = put_now(s, 1, 100);
	tap_ok(strcmp(p[0].ref.file, last) > 0, "numbers go on after a restart: %s", p[0].ref.file);
	ph_store_close(&s);
}

/* A recycled segment whose last use had many messages and whose new one has few. */
static void test_stale(void)
{
	struct ph_store *s = store_open(3, 0);
	struct put p[200];
	struct ph_msg_ref open;
	char file[PH_STORE_FILE_MAX];
	struct seen seen;
	int i;

	for (i = 0; i < 200; i++)
		p[i] = put_now(s, (unsigned)i, 1000);
	ph_store_open_segments(s, &open, 1);
	ph_store_close(&s);
	memcpy(file, open.file, sizeof(file));
	while (count("spare", 'S') > 0)         /* what other tests left */
		ph_segment_discard(dirfd_, file), s = store_open(3, 0), p[0] = put_now(s, 1, 10), ph_store_close(&s);
	s = store_open(3, 0);
	p[0] = put_now(s, 77, 1500);
	p[1] = put_now(s, 78, 1500);
	seen = scan(p[0].ref.file, 0);
	tap_ok(seen.n == 2 && seen.damaged == 0, "stale messages behind the new ones are silent");
	ph_store_close(&s);
}

static struct ph_msg_ref torn;

static void see_torn(void *arg, const struct ph_msg_ref *ref)
{
	torn = *ref;
}

static void test_damage(void)
{
	struct ph_err err;
	struct ph_store *s = store_open(4, 0);
	struct put p[6];
	struct seen seen;
	char path[300];
	int i;

	for (i = 0; i < 6; i++)
		p[i] = put_now(s, (unsigned)i, 2000);
	overwrite(p[2].ref.file, p[2].ref.offset + 1000, "damage", 6);
	seen = scan(p[0].ref.file, 0);
	tap_ok(seen.n == 5 && seen.damaged == 1 && seen.damaged_bytes == p[2].ref.length, "damage in one content: the others are found");
	tap_is(seen.damage.queue_id, p[2].ref.queue_id, "and the damaged one is named");
	tap_ok(ph_store_quarantine(dirfd_, &seen.damage, "test") == 0 && count("corrupt", 0) == 1, "its bytes are saved");
	snprintf(path, sizeof(path), "%s/corrupt/%s.%s.%llx", dir, seen.damage.queue_id, strrchr(seen.damage.file, '/') + 1,
		 (unsigned long long)seen.damage.offset);
	tap_ok(access(path, F_OK) == 0, "under a name that tells where they were");
	tap_ok(!same(&p[2]) && same(&p[3]), "reading it says so");
	overwrite(p[4].ref.file, p[4].ref.offset, "xxxxxxxxxxxxxxxxxxxxxxxxxxxxx", 29);
	seen = scan(p[0].ref.file, 0);
	tap_ok(seen.n == 4 && seen.damaged == 2, "a damaged beginning: resynchronised");
	overwrite(p[5].ref.file, p[5].ref.offset + p[5].ref.length - 8, "xxxx", 4);
	seen = scan(p[0].ref.file, 0);
	tap_ok(seen.n == 3 && seen.damaged == 2 && seen.damage.length == p[4].ref.length,
	       "a torn tail is silent, but not what ends in front of it (%d, %d)", seen.n, seen.damaged);
	memset(&torn, 0, sizeof(torn));
	tap_ok(ph_segment_scan_torn(dirfd_, p[0].ref.file, 0, see, see_torn, &seen, &err) == 0 && torn.offset == p[5].ref.offset &&
	       torn.length == p[5].ref.length && strcmp(torn.queue_id, p[5].ref.queue_id) == 0, "unless somebody wants to hear of it");
	seen = scan(p[0].ref.file, p[5].ref.offset + p[5].ref.length);
	tap_ok(seen.n == 3 && seen.damaged == 2, "but not when it was committed (%d, %d)", seen.n, seen.damaged);
	overwrite(p[0].ref.file, 0, "xxxxxxxxxxxxxxxxxxxxxxxxxxxxx", 29);
	tap_ok(scan(p[0].ref.file, 0).n == 3, "the header's copy serves");
	overwrite(p[0].ref.file, PH_FILE_COPY, "xxxxxxxxxxxxxxxxxxxxxxxxxxxxx", 29);
	tap_ok(scan(p[0].ref.file, 0).n == 3, "without both the messages tell");
	ph_store_close(&s);
}

static void test_copy(void)
{
	struct ph_store *s = store_open(5, 0);
	struct put small = put_now(s, 1, 5000), large = put_now(s, 2, 900000);
	struct ph_msg_ref to;
	struct ph_err err;
	char id[PH_QUEUE_ID_MAX];

	memcpy(id, small.ref.queue_id, sizeof(id));
	tap_ok(ph_store_copy(s, &small.ref, &to, &err) == 0 && to.offset != small.ref.offset, "copy a small message");
	small.ref = to;
	tap_ok(same(&small) && strcmp(id, to.queue_id) == 0, "under its queue id");
	tap_ok(ph_store_copy(s, &large.ref, &to, &err) == -EEXIST, "a file is not copied over itself");
	tap_ok(same(&large), "and stays");
	overwrite(small.ref.file, small.ref.offset + 500, "x", 1);
	tap_ok(ph_store_copy(s, &small.ref, &to, &err) == -EBADMSG, "damage is not copied");
	ph_store_close(&s);
}

/* Each named point: refused, then it works again, and nothing refused comes back. */
static void refused_at(const char *point, const char *code, int want, size_t bytes)
{
	struct ph_store *s = store_open(6, 0);
	struct put before = put_now(s, 1, bytes), failed, after;
	char spec[100];
	struct seen seen;
	int n;

	snprintf(spec, sizeof(spec), "%s=%s:*", point, code);
	fault(spec);
	failed = put_now(s, 2, bytes);
	fault("");
	after = put_now(s, 3, bytes);
	tap_ok(before.r == 0 && failed.r == want && after.r == 0, "%s %s: refused (%d), then taken again (%d)", point, code, failed.r, after.r);
	tap_ok(same(&before) && same(&after), "what was acknowledged is there");
	ph_store_close(&s);
	seen = scan(before.ref.file, 0);
	n = seen.n;
	if (strcmp(before.ref.file, after.ref.file) != 0)
		n += scan(after.ref.file, 0).n;
	tap_ok(n == 2 && seen.damaged == 0, "and nothing else (%d)", n);
	ph_segment_discard(dirfd_, before.ref.file);
	ph_segment_discard(dirfd_, after.ref.file);
}

static void test_refused(void)
{
	static const struct { const char *point, *code; int want; } small[] = {
		{ "store.write", "EIO", -EIO }, { "store.short", "ENOSPC", -ENOSPC }, { "store.written", "EIO", -EIO },
		{ "store.sync", "EIO", -EIO }, { "store.synced", "EIO", -EIO },
	}, large[] = {
		{ "store.filecreate", "EMFILE", -EMFILE }, { "store.filewrite", "ENOSPC", -ENOSPC }, { "store.filesync", "EIO", -EIO },
		{ "store.filedirsync", "EIO", -EIO },
	};
	struct ph_store *s;
	struct put p;
	int before, incoming;
	size_t i;

	for (i = 0; i < PH_ARRAY_LEN(small); i++)
		refused_at(small[i].point, small[i].code, small[i].want, 3000);
	for (i = 0; i < PH_ARRAY_LEN(large); i++)
		refused_at(large[i].point, large[i].code, large[i].want, 300000);
	for (i = 0; i < 4; i++) {
		static const char *points[] = { "store.create=ENOSPC:*", "store.dirsync=EIO:*", "store.headsync=EIO:*", "store.named=EIO:*" };

		s = store_open(6, 0);
		before = count("spare", 'N');
		incoming = count("incoming", 0);
		fault(points[i]);
		p = put_now(s, 1, 100);
		tap_ok(p.r < 0 && count("spare", 'N') == before && count("incoming", 0) == incoming, "%s: refused, nothing left behind", points[i]);
		fault("");
		p = put_now(s, 1, 100);
		tap_ok(p.r == 0 && same(&p), "and then it works");
		ph_store_close(&s);
	}
}

/* When the file cannot be cut, marks are written over what was refused. */
static void test_void(void)
{
	struct ph_store *s = store_open(7, 0);
	struct put a = put_now(s, 1, 4000), b, c;
	struct ph_msg_ref open[4];
	struct seen seen;

	fault("store.synced=EIO:1,store.truncate=EIO:*");
	b = put_now(s, 2, 4000);
	fault("");
	c = put_now(s, 3, 4000);
	tap_ok(a.r == 0 && b.r == -EIO && c.r == 0 && strcmp(a.ref.file, c.ref.file) != 0, "refused after it was written whole");
	seen = scan(a.ref.file, 0);
	tap_ok(seen.n == 1 && seen.damaged == 0, "it is void, silently");
	tap_ok(ph_store_open_segments(s, open, 4) == 2 && strcmp(open[1].file, a.ref.file) == 0 &&
	       open[1].offset == a.ref.offset + a.ref.length, "the abandoned segment's committed end is known");
	ph_store_close(&s);
}

static void test_bounds(void)
{
	struct ph_store_config cfg = { .queue_dir = dir, .slot = 8, .files_max = 2 };
	struct ph_store *s;
	struct ph_store_msg *m[3];
	unsigned char *buf = ph_alloc(300000);
	char id[PH_QUEUE_ID_MAX];
	struct ph_err err;
	int i, r = 0, incoming = count("incoming", 0);

	ph_store_open(&cfg, &s, &err);
	for (i = 0; i < 3; i++) {
		ph_queue_id_new(id, true);
		m[i] = ph_store_begin(s, id);
		r = ph_store_write(m[i], buf, 300000);
	}
	tap_ok(r == -EMFILE && ph_store_write(m[2], buf, 1) == -EMFILE, "no more message files than allowed at the same time");
	tap_ok(count("incoming", 0) == incoming + 2, "two are being written");
	for (i = 0; i < 3; i++)
		ph_store_abort(&m[i]);
	tap_ok(count("incoming", 0) == incoming, "and are removed when they are given up");
	tap_ok(ph_store_free_bytes(s) > 0, "free bytes");
	free(buf);
	ph_store_close(&s);
}

static void all(void *arg)
{
	test_small();
	test_large();
	test_edit();
	test_budget();
	test_recycle();
	test_stale();
	test_damage();
	test_copy();
	test_refused();
	test_void();
	test_bounds();
	ph_stored_cache_trim();
}

static void test_dirs(void)
{
	struct stat st;
	struct ph_err err;

	tap_ok(ph_queue_dirs_make(dir, getuid(), getgid(), &err) == 0, "make the folders");
	dirfd_ = open(dir, O_RDONLY | O_DIRECTORY);
	tap_ok(fstatat(dirfd_, "maildrop", &st, 0) == 0 && (st.st_mode & 07777) == 0730, "maildrop's mode");
	fchmodat(dirfd_, "incoming", 0777, 0);
	tap_ok(ph_queue_dirs_make(dir, getuid(), getgid(), &err) == 0 && fstatat(dirfd_, "incoming", &st, 0) == 0 &&
	       (st.st_mode & 07777) == 0700, "a wrong mode is set right");
}

int main(int argc, char **argv)
{
	char command[300];
	int r;

	if (getenv("PH_FAULT_FILE") == NULL) {
		snprintf(dir, sizeof(dir), "%s/ph-store.XXXXXX", getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp");
		if (mkdtemp(dir) == NULL)
			return 99;
		snprintf(fault_path, sizeof(fault_path), "%s/fault", dir);
		setenv("PH_FAULT_FILE", fault_path, 1);
		setenv("PH_TEST_DIR", dir, 1);
		execv("/proc/self/exe", argv);
		return 99;
	}
	snprintf(dir, sizeof(dir), "%s", getenv("PH_TEST_DIR"));
	snprintf(fault_path, sizeof(fault_path), "%s/fault", dir);
	test_dirs();
	ph_run_blocking(all, NULL);
	snprintf(command, sizeof(command), "rm -rf '%s'", dir);
	r = system(command);
	return tap_done() || r != 0;
}
