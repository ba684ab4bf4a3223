/* store_commit: durable messages a second through the store, by the number of sessions that commit at the same time.
 *
 *   store_commit [-s message_bytes] [-t seconds] directory
 *
 * Each of 1, 20, 100 and 1000 coroutines begins a message, writes it in lines as the intake does, commits it and begins the next. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/co_private.h"
#include "base/loop.h"
#include "queue/store.h"

static const char *dir;
static size_t msg_bytes = 4096;
static double seconds = 2;

static struct ph_store *store;
static unsigned running;
static bool stop;
static unsigned long committed, failed;
static double waited, longest;

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static void session(void *arg)
{
	static struct ph_rcpt rcpt = { .address = "user@example.com", .original = "user@example.com" };
	static struct ph_attr attrs[] = { { "client_name", "mail.example.org" }, { "client_address", "192.0.2.1" }, { "client_port", "34567" },
					  { "helo_name", "mail.example.org" }, { "protocol_name", "ESMTP" } };
	struct ph_envelope env = { .sender = "sender@example.org", .encoding = "8bit", .n_attrs = 5, .attrs = attrs, .n_rcpts = 1, .rcpts = &rcpt };
	static const char line[] = "The quick brown fox jumps over the lazy dog, and then over another one; and so.\n";
	char id[PH_QUEUE_ID_MAX];
	struct ph_store_msg *m;
	struct ph_msg_ref ref;
	struct ph_err err;
	double start;
	size_t n;

	while (!stop) {
		ph_queue_id_new(id, true);
		m = ph_store_begin(store, id);
		for (n = 0; n < msg_bytes; n += sizeof(line) - 1)
			ph_store_write(m, line, sizeof(line) - 1);
		start = now();
		if (ph_store_commit(&m, &env, &ref, &err) < 0)
			failed++;
		else
			committed++;
		start = now() - start;
		waited += start;
		if (start > longest)
			longest = start;
	}
	running--;
}

static void discard_all(void)
{
	int fd = open(dir, O_RDONLY | O_DIRECTORY);
	char command[4200];

	snprintf(command, sizeof(command), "ls %s/incoming", dir);
	FILE *f = popen(command, "r");
	char name[64], file[80];

	while (f && fscanf(f, "%63s", name) == 1) {
		snprintf(file, sizeof(file), "incoming/%s", name);
		ph_segment_discard(fd, file);
	}
	if (f)
		pclose(f);
	close(fd);
}

static void run(unsigned sessions, const char *what)
{
	double start, spent;
	unsigned i;

	stop = false;
	committed = failed = 0;
	waited = longest = 0;
	running = sessions;
	start = now();
	for (i = 0; i < sessions; i++)
		ph_co_spawn("session", session, NULL);
	while (now() - start < seconds)
		ph_co_sleep(20);
	stop = true;
	while (running > 0)
		ph_co_sleep(1);
	spent = now() - start;
	printf("%-10s %5u sessions %9.0f messages/s  mean %7.2f ms  longest %7.2f ms%s\n", what, sessions, (double)committed / spent,
	       waited * 1000 / (double)(committed + failed), longest * 1000, failed ? "  SOME FAILED" : "");
	fflush(stdout);
}

static void bench(void *arg)
{
	static const unsigned sessions[] = { 1, 20, 100, 1000 };
	struct ph_store_config cfg = { .queue_dir = dir, .slot = 1, .memory_max = (size_t)512 * 1024 * 1024 };
	struct ph_err err;
	unsigned i, round;

	ph_queue_id_init(1);
	for (round = 0; round < 2; round++)
		for (i = 0; i < PH_ARRAY_LEN(sessions); i++) {
			if (ph_store_open(&cfg, &store, &err) < 0) {
				fprintf(stderr, "%s\n", err.text);
				return;
			}
			run(sessions[i], round ? "recycled" : "new files");
			ph_store_close(&store);
			if (round == 0 && i + 1 < PH_ARRAY_LEN(sessions)) {
				char command[4200];

				snprintf(command, sizeof(command), "rm -f %s/incoming/* %s/spare/*", dir, dir);
				if (system(command) != 0)
					return;
			} else {
				discard_all();
			}
		}
}

int main(int argc, char **argv)
{
	struct ph_err err;
	int opt;

	while ((opt = getopt(argc, argv, "s:t:")) != -1) {
		if (opt == 's')
			msg_bytes = (size_t)atol(optarg);
		else if (opt == 't')
			seconds = atof(optarg);
		else
			return 2;
	}
	if (optind != argc - 1) {
		fprintf(stderr, "usage: store_commit [-s bytes] [-t seconds] directory\n");
		return 2;
	}
	dir = argv[optind];
	if (ph_queue_dirs_make(dir, getuid(), getgid(), &err) < 0) {
		fprintf(stderr, "%s\n", err.text);
		return 1;
	}
	return ph_run_blocking(bench, NULL) < 0;
}
