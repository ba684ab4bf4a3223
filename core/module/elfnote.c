/* elfnote.c: find the posthouse note in an ELF64 file.
 *
 * Pure but for the caller's read function: bounded numbers of bounded reads, every offset checked, so any file may be handed
 * in.  The section .note.posthouse is looked for by name (compilers mark it PROGBITS or NOTE), and when a file has no
 * section table, the PT_NOTE segments are walked.  Does not yield.  Source: ELF-64 object file format. */
#include "module/elfnote.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAX_SECTIONS 8192
#define MAX_SEGMENTS 256
#define MAX_NOTES 4096          /* bytes of one section or segment that are looked at */

static const char note_name[] = "posthouse";
static const char section_name[] = ".note.posthouse";

struct reader {
	ph_elf_read_fn *fn;
	void *ctx;
};

static bool read_at(const struct reader *r, uint64_t off, void *buf, size_t n)
{
	if (off > INT64_MAX - n)
		return false;
	return r->fn(r->ctx, off, buf, n) == (ssize_t)n;
}

/* Walk the notes in p; true when ours is there. */
static bool walk_notes(const uint8_t *p, size_t n, struct ph_elf_note *ret)
{
	while (n >= sizeof(Elf64_Nhdr)) {
		Elf64_Nhdr h;
		size_t name, desc;

		memcpy(&h, p, sizeof h);
		p += sizeof h;
		n -= sizeof h;
		name = ((size_t)h.n_namesz + 3) & ~(size_t)3;
		desc = ((size_t)h.n_descsz + 3) & ~(size_t)3;
		if (name > n || desc > n - name)
			return false;
		if (h.n_namesz == sizeof note_name && memcmp(p, note_name, sizeof note_name) == 0 &&
		    h.n_type == 1 && h.n_descsz >= sizeof *ret) {
			memcpy(ret, p + name, sizeof *ret);
			return true;
		}
		p += name + desc;
		n -= name + desc;
	}
	return false;
}

static bool notes_at(const struct reader *r, uint64_t off, uint64_t bytes, struct ph_elf_note *ret)
{
	uint8_t buf[MAX_NOTES];
	size_t n = bytes < sizeof buf ? (size_t)bytes : sizeof buf;

	return read_at(r, off, buf, n) && walk_notes(buf, n, ret);
}

static int bad(struct ph_err *err, const char *what)
{
	return ph_err_set(err, -EPROTO, "not a usable ELF file: %s", what);
}

static int from_sections(const struct reader *r, const Elf64_Ehdr *eh, struct ph_elf_note *ret, struct ph_err *err)
{
	Elf64_Shdr names, sh;
	char name[sizeof section_name];

	if (eh->e_shentsize != sizeof sh || eh->e_shnum > MAX_SECTIONS || eh->e_shstrndx >= eh->e_shnum)
		return bad(err, "damaged section table");
	if (!read_at(r, eh->e_shoff + (uint64_t)eh->e_shstrndx * sizeof names, &names, sizeof names))
		return bad(err, "section names are missing");
	for (unsigned i = 0; i < eh->e_shnum; i++) {
		if (!read_at(r, eh->e_shoff + (uint64_t)i * sizeof sh, &sh, sizeof sh))
			return bad(err, "section table is cut short");
		if ((sh.sh_type != SHT_NOTE && sh.sh_type != SHT_PROGBITS) || sh.sh_name >= names.sh_size ||
		    names.sh_offset > INT64_MAX)
			continue;
		if (!read_at(r, names.sh_offset + sh.sh_name, name, sizeof name) ||
		    memcmp(name, section_name, sizeof name) != 0)
			continue;
		if (notes_at(r, sh.sh_offset, sh.sh_size, ret))
			return 0;
		return bad(err, "damaged posthouse note");
	}
	return ph_err_set(err, -ENOENT, "not a posthouse module: it holds no posthouse note");
}

static int from_segments(const struct reader *r, const Elf64_Ehdr *eh, struct ph_elf_note *ret, struct ph_err *err)
{
	Elf64_Phdr ph;

	if (eh->e_phnum > 0 && (eh->e_phentsize != sizeof ph || eh->e_phnum > MAX_SEGMENTS))
		return bad(err, "damaged segment table");
	for (unsigned i = 0; i < eh->e_phnum; i++) {
		if (!read_at(r, eh->e_phoff + (uint64_t)i * sizeof ph, &ph, sizeof ph))
			return bad(err, "segment table is cut short");
		if (ph.p_type == PT_NOTE && notes_at(r, ph.p_offset, ph.p_filesz, ret))
			return 0;
	}
	return ph_err_set(err, -ENOENT, "not a posthouse module: it holds no posthouse note");
}

int ph_elf_note_read(ph_elf_read_fn *rd, void *ctx, struct ph_elf_note *ret, struct ph_err *err)
{
	struct reader r = { rd, ctx };
	const uint16_t one = 1;
	Elf64_Ehdr eh;

	if (!read_at(&r, 0, &eh, sizeof eh) || memcmp(eh.e_ident, ELFMAG, SELFMAG) != 0)
		return bad(err, "no ELF header");
	if (eh.e_ident[EI_CLASS] != ELFCLASS64)
		return bad(err, "not a 64-bit one");
	if (eh.e_ident[EI_DATA] != (*(const uint8_t *)&one ? ELFDATA2LSB : ELFDATA2MSB))
		return bad(err, "of another byte order");
	if (eh.e_type != ET_DYN)
		return bad(err, "not a shared object");
	if (eh.e_shnum > 0)
		return from_sections(&r, &eh, ret, err);
	return from_segments(&r, &eh, ret, err);
}

static ssize_t read_fd(void *ctx, uint64_t off, void *buf, size_t n)
{
	return pread(*(int *)ctx, buf, n, (off_t)off);
}

int ph_elf_note_file(const char *path, struct ph_elf_note *ret, struct ph_err *err)
{
	struct stat st;
	int fd, r;

	fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);     /* a FIFO must not stop us */
	if (fd < 0)
		return ph_err_errno(err, -errno, "open %s", path);
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
		r = ph_err_set(err, -EPROTO, "not a regular file");
	else
		r = ph_elf_note_read(read_fd, &fd, ret, err);
	close(fd);
	return r;
}
