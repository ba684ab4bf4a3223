/* elfnote.h: the note that PH_MODULE leaves in a module file, read without running any of the file's code. */
#ifndef CORE_MODULE_ELFNOTE_H
#define CORE_MODULE_ELFNOTE_H

#include <posthouse/base.h>

struct ph_elf_note {
	uint32_t magic;
	uint16_t abi_major, abi_minor;
	uint32_t size, kind;
};

/* Give n bytes at off into buf; the number of bytes, fewer only at the end of the file, or negative. */
typedef ssize_t ph_elf_read_fn(void *ctx, uint64_t off, void *buf, size_t n);

/* 0 and *ret; -ENOENT: an ELF file without our note; -EPROTO: not a 64-bit ELF file of this byte order, or a damaged one. */
int ph_elf_note_read(ph_elf_read_fn *rd, void *ctx, struct ph_elf_note *ret, struct ph_err *err);
/* The same for a file; also -errno. */
int ph_elf_note_file(const char *path, struct ph_elf_note *ret, struct ph_err *err);
#endif
