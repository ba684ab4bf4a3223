/* durable_append: what one durable append costs on this disk, by the way in which the file's blocks came to be.
 *
 *   durable_append [-s message_bytes] [-t seconds_per_case] directory
 *
 * For batches of 1, 20 and 100 messages: append to a growing file; into blocks reserved by fallocate; into zeros that were written a
 * step ahead; over a file that was written before (a recycled segment); with fdatasync, RWF_DSYNC, and O_DIRECT with O_DSYNC.
 * No state beyond one run; blocks. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include <posthouse/base.h>

#define FILE_BYTES ((off_t)32 * 1024 * 1024)
#define STEP ((off_t)1024 * 1024)
#define BATCH_MAX 100
#define BLOCK 4096

enum prepare { GROW, FALLOCATE, ZERO_AHEAD, FALLOCATE_ZERO_AHEAD, RECYCLED };
enum sync { FDATASYNC, FDATASYNC_EACH_WRITE, RWF, DIRECT };

static const struct bench_case {
	const char *name;
	enum prepare prepare;
	enum sync sync;
} cases[] = {
	{ "growing file, fdatasync", GROW, FDATASYNC },
	{ "fallocate, fdatasync", FALLOCATE, FDATASYNC },
	{ "zeros 1 MiB ahead, fdatasync", ZERO_AHEAD, FDATASYNC },
	{ "fallocate + zeros 1 MiB ahead, fdatasync", FALLOCATE_ZERO_AHEAD, FDATASYNC },
	{ "recycled, fdatasync", RECYCLED, FDATASYNC },
	{ "recycled, one write a message, fdatasync", RECYCLED, FDATASYNC_EACH_WRITE },
	{ "recycled, pwritev2(RWF_DSYNC)", RECYCLED, RWF },
	{ "recycled, O_DIRECT|O_DSYNC", RECYCLED, DIRECT },
};

static char *text;              /* message bytes, block-aligned */
static size_t msg_bytes = 4096 + 512;

static void die(const char *what)
{
	fprintf(stderr, "durable_append: %s: %s\n", what, strerror(errno));
	exit(1);
}

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static void zeros(int fd, off_t from, off_t bytes)
{
	static char block[STEP];

	for (; bytes > 0; from += STEP, bytes -= STEP)
		if (pwrite(fd, block, bytes < STEP ? (size_t)bytes : (size_t)STEP, from) < 0)
			die("write");
}

static int file_make(const char *dir, const struct bench_case *c)
{
	char path[4096];
	int fd;

	snprintf(path, sizeof(path), "%s/durable_append.%d", dir, (int)getpid());
	fd = open(path, O_RDWR | O_CREAT | O_EXCL | (c->sync == DIRECT ? O_DIRECT | O_DSYNC : 0), 0600);
	if (fd < 0)
		die(path);
	unlink(path);
	if ((c->prepare == FALLOCATE || c->prepare == FALLOCATE_ZERO_AHEAD) && fallocate(fd, 0, 0, FILE_BYTES) < 0)
		die("fallocate");
	if (c->prepare == RECYCLED) {
		if (c->sync == DIRECT)
			fcntl(fd, F_SETFL, 0);
		zeros(fd, 0, FILE_BYTES);
		if (fdatasync(fd) < 0)
			die("fdatasync");
		if (c->sync == DIRECT)
			fcntl(fd, F_SETFL, O_DIRECT);
	}
	if (fsync(fd) < 0)
		die("fsync");
	return fd;
}

/* One batch at off; returns where the next one goes. */
static off_t append(int fd, const struct bench_case *c, int batch, off_t off, off_t *zeroed)
{
	static struct iovec iov[BATCH_MAX];
	size_t bytes = msg_bytes * (size_t)batch;
	int i;

	if (c->sync == DIRECT) {
		bytes = (bytes + BLOCK - 1) / BLOCK * BLOCK;
		if (pwritev2(fd, &(struct iovec){ text, bytes }, 1, off, RWF_DSYNC) < 0)
			die("pwritev2");
		return off + (off_t)bytes;
	}
	if ((c->prepare == ZERO_AHEAD || c->prepare == FALLOCATE_ZERO_AHEAD) && off + (off_t)bytes > *zeroed) {
		zeros(fd, *zeroed, STEP);
		*zeroed += STEP;
	}
	for (i = 0; i < batch; i++)
		iov[i] = (struct iovec){ text, msg_bytes };
	if (c->sync == FDATASYNC_EACH_WRITE) {
		for (i = 0; i < batch; i++)
			if (pwrite(fd, text, msg_bytes, off + (off_t)(msg_bytes * (size_t)i)) < 0)
				die("pwrite");
	} else if (pwritev2(fd, iov, batch, off, c->sync == RWF ? RWF_DSYNC : 0) < 0) {
		die("pwritev2");
	}
	if (c->sync != RWF && fdatasync(fd) < 0)
		die("fdatasync");
	return off + (off_t)bytes;
}

static void run(const char *dir, const struct bench_case *c, int batch, double seconds)
{
	off_t off = BLOCK, zeroed = 0;
	double spent = 0, start;
	long n = 0, commits = 0;
	int fd = file_make(dir, c);

	while (spent < seconds) {
		if (off + (off_t)(msg_bytes * (size_t)batch) + BLOCK > FILE_BYTES) {
			if (c->prepare != RECYCLED) {           /* making the file is part of the price of these */
				start = now();
				close(fd);
				fd = file_make(dir, c);
				spent += now() - start;
			}
			off = BLOCK;
			zeroed = 0;
		}
		start = now();
		off = append(fd, c, batch, off, &zeroed);
		spent += now() - start;
		n += batch;
		commits++;
	}
	close(fd);
	printf("%-44s %4d %10.0f messages/s %8.0f commits/s\n", c->name, batch, (double)n / spent, (double)commits / spent);
	fflush(stdout);
}

int main(int argc, char **argv)
{
	static const int batches[] = { 1, 20, BATCH_MAX };
	double seconds = 1;
	size_t i, k;
	int opt;

	while ((opt = getopt(argc, argv, "s:t:")) != -1) {
		if (opt == 's')
			msg_bytes = (size_t)atol(optarg);
		else if (opt == 't')
			seconds = atof(optarg);
		else
			return 2;
	}
	if (optind != argc - 1 || msg_bytes < 1 || msg_bytes > 256 * 1024) {
		fprintf(stderr, "usage: durable_append [-s bytes] [-t seconds] directory\n");
		return 2;
	}
	text = aligned_alloc(BLOCK, (msg_bytes * BATCH_MAX + BLOCK) / BLOCK * BLOCK);
	if (text == NULL)
		die("memory");
	memset(text, 'x', (msg_bytes * BATCH_MAX + BLOCK) / BLOCK * BLOCK);
	for (i = 0; i < PH_ARRAY_LEN(cases); i++)
		for (k = 0; k < PH_ARRAY_LEN(batches); k++)
			run(argv[optind], &cases[i], batches[k], seconds);
	return 0;
}
