/* CPU time of the intake for a plain message of 4 KiB, without the store: lines in, clean-up, envelope.  Prints microseconds per message. */
#include "../unit/intake_stub.h"

#include "base/loop.h"
#include "config/config.h"

#include <time.h>

static struct ph_config *config;

static double now_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
	return (double)ts.tv_sec * 1e6 + (double)ts.tv_nsec / 1e3;
}

static void bench(const char *name, bool local, const char *text, int n)
{
	struct ph_arena *arena = ph_arena_new();
	double start;

	for (int i = 0; i < n / 10; i++) {
		submit(ph_config_main(config), arena, NULL, local, 0, 10240000, "sender@example.com", "user@example.net", text);
		ph_arena_reset(arena);
	}
	start = now_us();
	for (int i = 0; i < n; i++) {
		submit(ph_config_main(config), arena, NULL, local, 0, 10240000, "sender@example.com", "user@example.net", text);
		ph_arena_reset(arena);
	}
	printf("%-30s %6.2f us\n", name, (now_us() - start) / n);
	ph_arena_free(&arena);
}

static void run(void *arg)
{
	static char text[8192], multi[8192];
	char *p = text;

	p += sprintf(p, "Received: from a.example.com (a.example.com [192.0.2.1])\n\tby b.example.com (Postfix) with ESMTP id 1234\n\tfor <user@example.net>; Tue, 24 Nov 2026 00:05:08 +0000\n"
		     "Date: Tue, 24 Nov 2026 00:05:08 +0000\nFrom: Sender <sender@example.com>\nTo: User <user@example.net>, Other <other@example.net>\nSubject: benchmark\n"
		     "Message-ID: <1@example.com>\nMIME-Version: 1.0\nContent-Type: %s\nUser-Agent: none\n\n", "text/plain; charset=utf-8");
	while (p < text + 4096)
		p += sprintf(p, "The quick brown fox jumps over the lazy dog, and then once more, and on.\n");
	strcpy(multi, text);
	memcpy(strstr(multi, "text/plain; charset=utf-8"), "multipart/x; boundary=abc", 25);
	log_off = true;
	bench("4 KiB, remote", false, text, 20000);
	bench("4 KiB, local (headers parsed)", true, text, 20000);
	bench("4 KiB, multipart", false, multi, 20000);
}

int main(void)
{
	struct ph_err err;

	if (!freopen("/dev/null", "w+", stderr) ||
	    ph_config_parse("myhostname = h.test\nlocal_recipient_maps =\nmydestination = h.test\ninet_interfaces = loopback-only\n", "", &config, &err) < 0)
		return 1;
	ph_run_blocking(run, NULL);
	return 0;
}
