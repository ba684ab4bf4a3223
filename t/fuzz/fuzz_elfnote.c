/* The note of a module file. */
#include "module/elfnote.h"
#include <string.h>

struct image {
	const uint8_t *p;
	size_t n;
};

static ssize_t read_image(void *ctx, uint64_t off, void *buf, size_t n)
{
	const struct image *i = ctx;

	if (off >= i->n)
		return 0;
	if (n > i->n - off)
		n = i->n - (size_t)off;
	memcpy(buf, i->p + off, n);
	return (ssize_t)n;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct image i = { data, n };
	struct ph_elf_note note;
	struct ph_err err;

	ph_elf_note_read(read_image, &i, &note, &err);
	return 0;
}
