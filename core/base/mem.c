/* mem.c: heap memory that is never NULL.  Running out of it ends the process: a router that limps
 * on without memory loses promises; one that is restarted does not.  No state; any thread. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <posthouse/base.h>

/* No allocation may happen on the way out, so not ph_log. */
static void __attribute__((noreturn)) mem_exhausted(void)
{
	static const char text[] = "panic: out of memory\n";
	ssize_t n = write(STDERR_FILENO, text, sizeof(text) - 1);

	(void)n;
	abort();
}

void *ph_alloc(size_t bytes)
{
	void *p = calloc(1, bytes ? bytes : 1);

	if (p == NULL)
		mem_exhausted();
	return p;
}

void *ph_realloc(void *p, size_t bytes)
{
	void *q = realloc(p, bytes ? bytes : 1);

	if (q == NULL)
		mem_exhausted();
	return q;
}

char *ph_strdup(const char *s)
{
	return ph_strndup(s, strlen(s));
}

char *ph_strndup(const char *s, size_t n)
{
	size_t len = strnlen(s, n);
	char *copy = ph_realloc(NULL, len + 1);

	copy[len] = '\0';
	return memcpy(copy, s, len);
}
