/* tls_mem.c: a pool for OpenSSL's record and handshake buffers.
 *
 * They are about 17 KiB, come and go with every read, and lie between the small allocations that live as long as
 * the session: taken from the common heap they leave it full of holes, twice the size of what a session needs.
 * Here they are blocks of one size from a range of their own, the last one freed is used first, and blocks beyond
 * a few lose their memory.  State: one pool per process under a lock, as client libraries on helper threads use
 * OpenSSL, too.  No yield. */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <openssl/crypto.h>

#include "config.h"
#include "net/tls_private.h"

#define BLOCK ((size_t)20480)   /* whole pages */
#define BLOCK_MIN ((size_t)8192)
#define BLOCKS 32768            /* 640 MiB of addresses; more come from the heap */
#define KEEP_WARM 64

/* Something for tls_ctx.c to refer to: nothing else would make the linker take this file out of an archive. */
const bool ph_tls_mem_linked = true;

#ifndef PH_SANITIZERS
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static char *range;
static uint32_t fresh;                  /* blocks from here on have never been used */
static uint32_t freed[BLOCKS];          /* a stack; the newest KEEP_WARM of them keep their memory */
static uint32_t freed_n, cold_n;        /* the oldest cold_n have lost it */

static bool in_range(const void *p)
{
	return range && (const char *)p >= range && (const char *)p < range + BLOCK * BLOCKS;
}

static void *block_get(void)
{
	void *p = NULL;

	pthread_mutex_lock(&lock);
	if (freed_n > 0) {
		p = range + BLOCK * freed[--freed_n];
		if (cold_n > freed_n)
			cold_n = freed_n;
	} else if (fresh < BLOCKS) {
		p = range + BLOCK * fresh++;
	}
	pthread_mutex_unlock(&lock);
	return p;
}

static void block_put(void *p)
{
	pthread_mutex_lock(&lock);
	freed[freed_n++] = (uint32_t)((size_t)((char *)p - range) / BLOCK);
	if (freed_n - cold_n > KEEP_WARM)
		(void)madvise(range + BLOCK * freed[cold_n++], BLOCK, MADV_DONTNEED);
	pthread_mutex_unlock(&lock);
}

static void *mem_alloc(size_t n, const char *file, int line)
{
	void *p = n >= BLOCK_MIN && n <= BLOCK ? block_get() : NULL;

	return p ? p : malloc(n);
}

static void mem_free(void *p, const char *file, int line)
{
	if (in_range(p))
		block_put(p);
	else
		free(p);
}

static void *mem_realloc(void *p, size_t n, const char *file, int line)
{
	void *q;

	if (!in_range(p))
		return realloc(p, n);
	if (n >= BLOCK_MIN && n <= BLOCK)
		return p;
	q = malloc(n);
	if (q) {
		memcpy(q, p, n < BLOCK ? n : BLOCK);
		block_put(p);
	}
	return q;
}

/* Before OpenSSL allocates anything; when it has already, it refuses, and the heap it is. */
__attribute__((constructor)) static void mem_init(void)
{
	range = mmap(NULL, BLOCK * BLOCKS, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (range == MAP_FAILED) {
		range = NULL;
		return;
	}
	(void)madvise(range, BLOCK * BLOCKS, MADV_NOHUGEPAGE);
	if (CRYPTO_set_mem_functions(mem_alloc, mem_realloc, mem_free) != 1) {
		munmap(range, BLOCK * BLOCKS);
		range = NULL;
	}
}
#endif
