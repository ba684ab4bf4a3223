/* store_crash: the store under load, to be killed; and the check of what is left.
 *
 *   store_crash write directory slot sessions first_number
 *     Sessions commit numbered messages of many sizes as fast as they can.  On standard output, one write each: "A number queue_id" when a
 *     message was acknowledged, "R number queue_id" when it was refused, "J number" when a journal record was appended, "T number" for one
 *     that is to be synced, "S number" when it and all that were appended before it are.
 *   store_crash check directory
 *     "M number queue_id" for each intact message with the right content, "D file offset length" for reported damage, "W queue_id" for
 *     a message that is intact but wrong, "J number" for each journal record.
 *   store_crash discard directory
 *     Give all idle files back, so that segments are recycled, and remove all journals. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/co_private.h"
#include "base/loop.h"
#include "queue/journal.h"
#include "queue/store.h"

static const char *dir;
static unsigned slot, sessions;
static unsigned long number;
static struct ph_store *store;
static struct ph_journal *journal;

__attribute__((format(printf, 1, 2)))
static void say(const char *fmt, ...)
{
	char line[200];
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	if (write(1, line, (size_t)n) != n)
		_exit(3);
}

/* ---- numbered messages -------------------------------------------------------------------- */

static unsigned mix(unsigned long n)
{
	n = (n ^ n >> 16) * 0x45d9f3b;
	n = (n ^ n >> 16) * 0x45d9f3b;
	return (unsigned)(n ^ n >> 16);
}

static size_t bytes_of(unsigned long n)
{
	unsigned r = mix(n);

	if (r % 61 == 0)
		return 270000 + r / 64 % 400000;        /* a file of its own */
	if (r % 13 == 0)
		return r / 16 % 200000;
	return r / 16 % 6000;
}

static void fill(unsigned char *p, size_t bytes, unsigned long n)
{
	unsigned v = mix(n) | 1;
	size_t i;

	for (i = 0; i < bytes; i++) {
		v = v * 1664525 + 1013904223;
		p[i] = (unsigned char)(v >> 24);
	}
}

/* ---- writing ------------------------------------------------------------------------------ */

static void session(void *arg)
{
	struct ph_journal_rec rec = { .type = PH_J_RESULT };
	unsigned char *buf = ph_alloc(700000);
	char id[PH_QUEUE_ID_MAX], sender[64];
	struct ph_rcpt rcpt = { .address = "user@example.com", .original = "user@example.com" };
	struct ph_envelope env = { .sender = sender, .encoding = "", .n_rcpts = 1, .rcpts = &rcpt };
	struct ph_store_msg *m;
	struct ph_msg_ref ref;
	struct ph_err err;
	unsigned long n;
	size_t bytes, at, piece;
	int r;

	for (;;) {
		n = number++;
		bytes = bytes_of(n);
		fill(buf, bytes, n);
		ph_queue_id_new(id, true);
		snprintf(sender, sizeof(sender), "%lu", n);
		m = ph_store_begin(store, id);
		for (at = r = 0; at < bytes && r == 0; at += piece) {
			piece = bytes - at < 30000 ? bytes - at : 30000;
			r = ph_store_write(m, buf + at, piece);
		}
		if (r == 0)
			r = ph_store_commit(&m, &env, &ref, &err);
		ph_store_abort(&m);
		say("%c %lu %s\n", r == 0 ? 'A' : 'R', n, id);
		rec.number = n;
		memcpy(rec.queue_id, id, sizeof(id));
		if (r == 0 && ph_journal_append(journal, &rec, &err) == 0)
			say("J %lu\n", n);
		if (r < 0)
			ph_co_sleep(1);
	}
}

/* "S n": record n, and with it all that was appended before it, is on disk. */
static void syncer(void *arg)
{
	struct ph_journal_rec rec = { .type = PH_J_RESULT };
	struct ph_err err;

	for (;;) {
		ph_co_sleep(7);
		rec.number = number++;
		if (ph_journal_append(journal, &rec, &err) < 0)
			continue;
		say("T %lu\n", (unsigned long)rec.number);
		if (ph_journal_sync(journal, &err) == 0)
			say("S %lu\n", (unsigned long)rec.number);
		if (mix(rec.number) % 7 == 0)
			ph_journal_rotate(journal, &err);
	}
}

static void write_main(void *arg)
{
	struct ph_store_config cfg = { .queue_dir = dir, .slot = slot, .segment_bytes = (size_t)2 << 20, .memory_max = (size_t)6 << 20 };
	struct ph_err err;
	int fd = open(dir, O_RDONLY | O_DIRECTORY);
	unsigned i;

	ph_queue_id_init(slot);
	if (ph_store_open(&cfg, &store, &err) < 0 || ph_journal_open(fd, slot, &journal, &err) < 0) {
		fprintf(stderr, "%s\n", err.text);
		exit(1);
	}
	ph_co_spawn("syncer", syncer, NULL);
	for (i = 0; i < sessions; i++)
		ph_co_spawn("session", session, NULL);
	for (;;)
		ph_co_sleep(100000);
}

/* ---- checking ----------------------------------------------------------------------------- */

static int found(void *arg, const struct ph_msg_ref *ref, struct ph_slice envelope)
{
	struct ph_arena *arena = ph_arena_new();
	unsigned char *want = NULL, *got = NULL;
	struct ph_stored *m;
	struct ph_err err;
	unsigned long n;
	size_t bytes;
	bool ok = false;

	if (ref->env_length == 0) {
		printf("D %s %llu %llu\n", ref->file, (unsigned long long)ref->offset, (unsigned long long)ref->length);
		goto out;
	}
	if (ph_stored_open(*(int *)arg, ref, arena, &m, &err) < 0)
		goto out;
	n = strtoul(m->env->sender, NULL, 10);
	bytes = bytes_of(n);
	want = ph_alloc(bytes + 1);
	got = ph_alloc(bytes + 1);
	fill(want, bytes, n);
	ok = m->content_bytes == (int64_t)bytes && ph_stored_read(m, 0, got, bytes) == (ssize_t)bytes && memcmp(want, got, bytes) == 0 &&
	     ph_stored_verify(m, &err) == 0;
	if (ok)
		printf("M %lu %s\n", n, ref->queue_id);
out:
	if (ref->env_length != 0 && !ok)
		printf("W %s\n", ref->queue_id);
	free(want);
	free(got);
	ph_arena_free(&arena);
	return 0;
}

static int record(void *arg, const struct ph_journal_rec *rec)
{
	printf("J %lu\n", (unsigned long)rec->number);
	return 0;
}

/* Call fn for each file of a folder. */
static int each(int dirfd, const char *folder, int (*fn)(int dirfd, const char *file))
{
	int fd = openat(dirfd, folder, O_RDONLY | O_DIRECTORY), r = 0;
	DIR *d = fdopendir(fd);
	struct dirent *e;
	char file[300];

	while (d && (e = readdir(d)) != NULL) {
		if (e->d_name[0] == '.')
			continue;
		snprintf(file, sizeof(file), "%s/%s", folder, e->d_name);
		if (fn(dirfd, file) < 0)
			r = 1;
	}
	closedir(d);
	return r;
}

static int check_file(int dirfd, const char *file)
{
	struct ph_err err;
	int r = ph_segment_scan(dirfd, file, 0, found, &dirfd, &err);

	if (r < 0)
		fprintf(stderr, "%s: %s\n", file, err.text);
	ph_stored_cache_trim();
	return r;
}

static int check_journal(int dirfd, const char *file)
{
	uint64_t offset = 0;
	struct ph_err err;
	int r = ph_journal_read(dirfd, file, &offset, record, NULL, &err);

	if (r < 0)
		fprintf(stderr, "%s: %s\n", file, err.text);
	return r;
}

static int discard_file(int dirfd, const char *file)
{
	return ph_segment_discard(dirfd, file);
}

static int remove_file(int dirfd, const char *file)
{
	return unlinkat(dirfd, file, 0);
}

int main(int argc, char **argv)
{
	struct ph_err err;
	int fd;

	if (argc < 3)
		return 2;
	dir = argv[2];
	if (ph_queue_dirs_make(dir, getuid(), getgid(), &err) < 0) {
		fprintf(stderr, "%s\n", err.text);
		return 1;
	}
	fd = open(dir, O_RDONLY | O_DIRECTORY);
	if (strcmp(argv[1], "check") == 0)
		return each(fd, "incoming", check_file) | each(fd, "journal", check_journal);
	if (strcmp(argv[1], "discard") == 0)
		return each(fd, "incoming", discard_file) | each(fd, "journal", remove_file);
	if (argc < 6)
		return 2;
	slot = (unsigned)atoi(argv[3]);
	sessions = (unsigned)atoi(argv[4]);
	number = strtoul(argv[5], NULL, 10);
	return ph_run_blocking(write_main, NULL) < 0;
}
