/* Journals: records as bytes, appending, torn and damaged files, rotation, failed syncs, several writers of one file. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/co_private.h"
#include "base/loop.h"
#include "queue/journal_private.h"
#include "queue/store.h"
#include "tap.h"

static char dir[256], fault_path[300];
static int dirfd_;
static unsigned serial;

#define SLICE(text) ((struct ph_slice){ text, sizeof(text) - 1 })

static void fault(const char *text)
{
	FILE *f;

	unlink(fault_path);
	f = fopen(fault_path, "w");
	fprintf(f, "%s%*s\n", text, (int)(serial++ % 50), "");
	fclose(f);
}

static struct ph_journal_rec result(unsigned i)
{
	struct ph_journal_rec rec = { .type = PH_J_RESULT, .rcpt = i, .status = PH_BOUNCED, .time_ms = 1700000000000 + i,
				      .dsn = SLICE("5.1.1"), .text = SLICE("unknown user"), .relay = SLICE("mx[192.0.2.1]:25") };

	snprintf(rec.queue_id, sizeof(rec.queue_id), "4jYPq90LsJz%04u", i % 10000);
	return rec;
}

static bool slice_is(struct ph_slice s, const char *text)
{
	return s.n == strlen(text) && memcmp(s.p, text, s.n) == 0;
}

static void test_codec(void)
{
	struct ph_journal_rec rec = result(7), got;
	struct ph_buf b = PH_BUF_INIT(1 << 20);
	char blob[5000];
	size_t i, n, bad = 0;
	ssize_t r;

	memset(blob, 0xa5, sizeof(blob));
	rec.number = 1;
	rec.number2 = UINT64_MAX;
	rec.mta = SLICE("mx.example.com");
	rec.diag = SLICE("smtp; 550 no");
	rec.blob = (struct ph_slice){ blob, sizeof(blob) };
	tap_ok(ph_journal_encode(&rec, &b) == 0 && b.len % 8 == 0, "encode");
	r = ph_journal_decode((struct ph_slice){ b.data, b.len }, &got);
	tap_ok(r == (ssize_t)b.len && got.type == PH_J_RESULT && got.rcpt == 7 && got.status == PH_BOUNCED &&
	       got.time_ms == rec.time_ms && got.number == 1 && got.number2 == UINT64_MAX, "numbers come back");
	tap_is(got.queue_id, rec.queue_id, "queue id");
	tap_ok(slice_is(got.dsn, "5.1.1") && slice_is(got.text, "unknown user") && slice_is(got.relay, "mx[192.0.2.1]:25") &&
	       slice_is(got.mta, "mx.example.com") && slice_is(got.diag, "smtp; 550 no"), "texts");
	tap_ok(got.blob.n == sizeof(blob) && memcmp(got.blob.p, blob, sizeof(blob)) == 0, "blob");
	for (n = 0; n < b.len; n++) {
		/* An exact copy: a read behind its end is seen by the sanitizer. */
		char *cut = ph_alloc(n + 1);

		memcpy(cut, b.data, n);
		bad += ph_journal_decode((struct ph_slice){ cut, n }, &got) != 0;
		free(cut);
	}
	tap_ok(bad == 0, "every cut is incomplete");
	for (i = bad = 0; i < b.len; i++) {
		b.data[i] ^= 1;
		bad += ph_journal_decode((struct ph_slice){ b.data, b.len }, &got) > 0;
		b.data[i] ^= 1;
	}
	tap_ok(bad <= 7, "a flipped bit is noticed, but in the padding (%zu)", bad);
	ph_buf_done(&b);
}

struct seen {
	unsigned n, next, wrong;
	unsigned stop_at;
};

static int see(void *arg, const struct ph_journal_rec *rec)
{
	struct seen *s = arg;

	s->wrong += rec->rcpt != s->next++;
	s->n++;
	return s->n == s->stop_at ? 17 : 0;
}

static struct seen read_all(const char *file, uint64_t *offset)
{
	struct seen s = { 0 };
	struct ph_err err = { 0 };
	int r = ph_journal_read(dirfd_, file, offset, see, &s, &err);

	if (r < 0)
		printf("# %s\n", err.text);
	return s;
}

static void test_read(void)
{
	struct ph_journal *j;
	struct ph_journal_rec rec;
	struct ph_err err = { 0 };
	struct seen s = { 0 };
	uint64_t offset = 0, at;
	struct stat st;
	unsigned i;
	int fd;

	tap_ok(ph_journal_open(dirfd_, 3, &j, &err) == 0, "open %s", err.text);
	for (i = 0; i < 100; i++) {
		rec = result(i);
		ph_journal_append(j, &rec, &err);
	}
	s = read_all(ph_journal_file(j), &offset);
	tap_ok(s.n == 100 && s.wrong == 0, "what is appended can be read at once");
	rec = result(0);
	ph_journal_append(j, &rec, &err);
	s = read_all(ph_journal_file(j), &offset);
	tap_ok(s.n == 1, "from where reading ended");
	at = 0;
	s = (struct seen){ .stop_at = 5 };
	tap_ok(ph_journal_read(dirfd_, ph_journal_file(j), &at, see, &s, &err) == 17, "the reader's wish to stop is passed on");
	s = read_all(ph_journal_file(j), &at);
	tap_ok(s.n == 96, "behind the record that it stopped at");
	fd = openat(dirfd_, ph_journal_file(j), O_RDWR);
	fstat(fd, &st);
	tap_ok((uint64_t)st.st_size == offset, "the offset is the file's end");
	tap_ok(ftruncate(fd, st.st_size - 5) == 0, "cut");
	offset = 0;
	s = read_all(ph_journal_file(j), &offset);
	tap_ok(s.n == 100, "a torn tail is silent");
	if (pwrite(fd, "x", 1, 250) != 1)
		abort();
	offset = 0;
	s = read_all(ph_journal_file(j), &offset);
	tap_ok(s.n == 99, "a damaged record in the middle is skipped");
	rec = result(1);
	ph_journal_append(j, &rec, &err);
	s = read_all(ph_journal_file(j), &offset);
	tap_ok(s.n == 1, "a fragment in front of a record is skipped");
	close(fd);
	ph_journal_close(&j);
}

static void test_batch(void)
{
	struct ph_journal *j;
	struct ph_journal_rec rec;
	struct ph_err err;
	struct seen s;
	uint64_t offset = 0;
	unsigned i;

	ph_journal_open(dirfd_, 4, &j, &err);
	for (i = 0; i < 10; i++) {
		rec = result(i);
		ph_journal_append_batched(j, &rec, &err);
	}
	tap_ok(read_all(ph_journal_file(j), &offset).n == 0, "batched records wait");
	ph_co_sleep(1);
	tap_ok(read_all(ph_journal_file(j), &offset).n == 10, "for the end of the turn");
	rec = result(10);
	ph_journal_append_batched(j, &rec, &err);
	rec = result(11);
	ph_journal_append(j, &rec, &err);
	offset = 0;
	s = read_all(ph_journal_file(j), &offset);
	tap_ok(s.n == 12 && s.wrong == 0, "order is kept between the two kinds");
	for (i = 0; i < 30000; i++) {
		rec = result(12 + i);
		ph_journal_append_batched(j, &rec, &err);
	}
	tap_ok(ph_journal_sync(j, &err) == 0, "sync");
	offset = 0;
	s = read_all(ph_journal_file(j), &offset);
	tap_ok(s.n == 30012 && s.wrong == 0, "many");
	rec = result(0);
	ph_journal_append_batched(j, &rec, &err);
	ph_journal_close(&j);
	ph_co_sleep(1);
}

static void test_rotate(void)
{
	struct ph_journal *j, *k;
	struct ph_journal_rec rec = result(0);
	struct ph_err err;
	char first[64];
	uint64_t offset = 0;
	int fd;

	ph_journal_open(dirfd_, 5, &j, &err);
	snprintf(first, sizeof(first), "%s", ph_journal_file(j));
	ph_journal_append(j, &rec, &err);
	tap_ok(ph_journal_rotate(j, &err) == 0 && strcmp(first, ph_journal_file(j)) < 0, "rotate");
	rec = result(1);
	ph_journal_append(j, &rec, &err);
	tap_ok(read_all(first, &offset).n == 1, "the old file stays as it was");
	tap_ok(ph_journal_sync(j, &err) == 0, "sync covers both");
	/* Another writer of the same file. */
	fd = fcntl(ph_journal_fd(j), F_DUPFD_CLOEXEC, 0);
	tap_ok(ph_journal_adopt(fd, "/etc/passwd", &k, &err) == -EINVAL, "no other names");
	tap_ok(ph_journal_adopt(fd, ph_journal_file(j), &k, &err) == 0, "adopt");
	rec = result(2);
	ph_journal_append(k, &rec, &err);
	rec = result(3);
	ph_journal_append(j, &rec, &err);
	rec = result(4);
	ph_journal_append(k, &rec, &err);
	ph_journal_close(&k);
	ph_journal_touched(j);
	offset = 0;
	tap_ok(read_all(ph_journal_file(j), &offset).n == 4, "two writers do not harm each other");
	ph_journal_close(&j);
}

static void test_faults(void)
{
	struct ph_journal *j;
	struct ph_journal_rec rec = result(0);
	struct ph_err err;
	struct seen s;
	char first[64];
	uint64_t offset = 0;
	unsigned i;

	fault("journal.create=ENOSPC:*");
	tap_ok(ph_journal_open(dirfd_, 6, &j, &err) == -ENOSPC, "cannot be created");
	fault("");
	ph_journal_open(dirfd_, 6, &j, &err);
	ph_journal_append(j, &rec, &err);
	fault("journal.write=ENOSPC:*");
	rec = result(1);
	tap_ok(ph_journal_append(j, &rec, &err) == -ENOSPC, "a full disk is reported");
	fault("journal.short=ENOSPC:*");
	tap_ok(ph_journal_append(j, &rec, &err) == -ENOSPC, "a short write, too");
	fault("");
	tap_ok(ph_journal_append(j, &rec, &err) == 0, "then it works again");
	s = read_all(ph_journal_file(j), &offset);
	tap_ok(s.n == 2 && s.wrong == 0, "the fragment does no harm");
	tap_ok(ph_journal_sync(j, &err) == 0, "sync");
	snprintf(first, sizeof(first), "%s", ph_journal_file(j));
	for (i = 2; i < 8; i++) {
		rec = result(i);
		ph_journal_append(j, &rec, &err);
	}
	fault("journal.sync=EIO:1");
	tap_ok(ph_journal_sync(j, &err) == -EIO, "a failed sync is reported");
	fault("");
	tap_ok(strcmp(first, ph_journal_file(j)) != 0, "and what was not on disk");
	offset = 0;
	s = (struct seen){ .next = 2 };
	ph_journal_read(dirfd_, ph_journal_file(j), &offset, see, &s, &err);
	tap_ok(s.n == 6 && s.wrong == 0, "is in a new file");
	tap_ok(ph_journal_sync(j, &err) == 0, "which is on disk");
	rec = result(8);
	fault("journal.sync=EIO:1");
	ph_journal_append(j, &rec, &err);
	snprintf(first, sizeof(first), "%s", ph_journal_file(j));
	for (i = 0; i < 200 && strcmp(first, ph_journal_file(j)) == 0; i++)
		ph_co_sleep(10);
	tap_ok(strcmp(first, ph_journal_file(j)) != 0, "a sync in the background does the same");
	fault("");
	rec = result(9);
	fault("journal.write=ENOSPC:*");
	tap_ok(ph_journal_append_batched(j, &rec, &err) == 0, "a batched record that cannot be written");
	ph_co_sleep(1);
	fault("");
	(void)ph_journal_sync(j, &err);
	offset = 0;
	s = (struct seen){ .next = 8 };
	ph_journal_read(dirfd_, ph_journal_file(j), &offset, see, &s, &err);
	tap_ok(s.n == 2 && s.wrong == 0, "and is written later (%u)", s.n);
	ph_journal_close(&j);
}

static void all(void *arg)
{
	test_read();
	test_batch();
	test_rotate();
	test_faults();
}

int main(int argc, char **argv)
{
	char command[300];
	struct ph_err err;
	int r;

	if (getenv("PH_FAULT_FILE") == NULL) {
		snprintf(dir, sizeof(dir), "%s/ph-journal.XXXXXX", getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp");
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
	ph_queue_dirs_make(dir, getuid(), getgid(), &err);
	dirfd_ = open(dir, O_RDONLY | O_DIRECTORY);
	test_codec();
	ph_run_blocking(all, NULL);
	snprintf(command, sizeof(command), "rm -rf '%s'", dir);
	r = system(command);
	return tap_done() || r != 0;
}
