/* probes: a dictionary attack: sessions that send MAIL and a batch of RCPT for unknown users in one segment (PIPELINING), read the
 * replies, RSET, and again.  So the client costs little, and the server's own work shows.
 * probes PORT SESSIONS TOTAL BATCH DOMAIN: prints {"ok": refused with 5xx, "other": any other answer, "secs": ..., "rate": ...} */
#include <arpa/inet.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static int port, batch;
static long total;
static const char *domain;
static atomic_long next_user, refused, other;

struct reader {
	int fd;
	char b[65536];
	size_t n, at;
};

/* The code of the next reply, or -1. */
static int reply(struct reader *r)
{
	char line[4] = "";
	size_t col = 0;

	for (;;) {
		if (r->at == r->n) {
			ssize_t n = read(r->fd, r->b, sizeof(r->b));

			if (n <= 0)
				return -1;
			r->n = (size_t)n;
			r->at = 0;
		}
		char c = r->b[r->at++];

		if (col < 4)
			line[col] = c;
		col++;
		if (c != '\n')
			continue;
		if (line[3] != '-')
			return atoi(line);
		col = 0;
	}
}

static int say(int fd, const char *text, size_t n)
{
	return write(fd, text, n) == (ssize_t)n ? 0 : -1;
}

static int transaction(struct reader *r, char *out, size_t size)
{
	size_t n = (size_t)snprintf(out, size, "MAIL FROM:<s@src.test>\r\n");
	long first = atomic_fetch_add(&next_user, batch);
	int i, code;

	for (i = 0; i < batch; i++)
		n += (size_t)snprintf(out + n, size - n, "RCPT TO:<nobody%ld@%s>\r\n", first + i, domain);
	n += (size_t)snprintf(out + n, size - n, "RSET\r\n");
	if (say(r->fd, out, n) < 0 || reply(r) / 100 != 2)
		return -1;
	for (i = 0; i < batch; i++) {
		code = reply(r);
		if (code < 0)
			return -1;
		atomic_fetch_add(code / 100 == 5 ? &refused : &other, 1);
	}
	return reply(r) == 250 ? 0 : -1;
}

static void *session(void *arg)
{
	struct sockaddr_in sin = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK), .sin_port = htons((uint16_t)port) };
	struct reader *r = calloc(1, sizeof(*r));
	size_t size = (size_t)(batch + 2) * 320;
	char *out = malloc(size);
	struct timeval tv = { 30, 0 };

	r->fd = socket(AF_INET, SOCK_STREAM, 0);
	setsockopt(r->fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv));
	if (connect(r->fd, (struct sockaddr *)&sin, sizeof(sin)) == 0 && reply(r) == 220 && say(r->fd, "EHLO client.test\r\n", 18) == 0 && reply(r) == 250)
		while (atomic_load(&next_user) < total && transaction(r, out, size) == 0)
			;
	if (say(r->fd, "QUIT\r\n", 6) == 0)
		reply(r);
	close(r->fd);
	free(out);
	free(r);
	return arg;
}

int main(int argc, char **argv)
{
	struct timespec a, b;
	int sessions;
	double secs;

	if (argc != 6)
		return 2;
	port = atoi(argv[1]);
	sessions = atoi(argv[2]);
	total = atol(argv[3]);
	batch = atoi(argv[4]);
	domain = argv[5];
	if (sessions < 1 || sessions > 1000 || batch < 1 || batch > 1000 || strlen(domain) > 200)
		return 2;
	pthread_t *t = calloc((size_t)sessions, sizeof(*t));

	clock_gettime(CLOCK_MONOTONIC, &a);
	for (int i = 0; i < sessions; i++)
		pthread_create(&t[i], NULL, session, NULL);
	for (int i = 0; i < sessions; i++)
		pthread_join(t[i], NULL);
	clock_gettime(CLOCK_MONOTONIC, &b);
	secs = (double)(b.tv_sec - a.tv_sec) + (double)(b.tv_nsec - a.tv_nsec) / 1e9;
	printf("{\"ok\": %ld, \"other\": %ld, \"secs\": %.4f, \"rate\": %.1f}\n", atomic_load(&refused), atomic_load(&other), secs,
	       (double)atomic_load(&refused) / secs);
	free(t);
	return 0;
}
