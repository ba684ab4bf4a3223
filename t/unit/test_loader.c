/* The module loader: the ELF note, refusals that name the field, older and smaller descriptors, names, the scan. */
#include "module/loader.h"
#include "module/elfnote.h"
#include <posthouse/lookup.h>
#include "mapfile.h"
#include "tap.h"

static char *image;             /* of lookup_static.so */
static size_t image_bytes;
static size_t note_at;          /* of the note's name */

static void slurp(const char *path)
{
	FILE *f = fopen(path, "rb");
	long n;

	if (f == NULL) {
		printf("Bail out! %s: %s\n", path, strerror(errno));
		exit(1);
	}
	fseek(f, 0, SEEK_END);
	n = ftell(f);
	rewind(f);
	image_bytes = (size_t)n;
	image = malloc(image_bytes);
	if (fread(image, 1, image_bytes, f) != image_bytes)
		exit(1);
	fclose(f);
	for (size_t i = 0; i + 10 < image_bytes; i++)
		if (memcmp(image + i, "posthouse\0", 10) == 0 && image[i - 4] == 1 && image[i - 8] == 16)
			note_at = i;
}

static const char *write_image(const char *name, const char *data, size_t n)
{
	const char *path = tmp_path(name);
	FILE *f = fopen(path, "wb");

	fwrite(data, 1, n, f);
	fclose(f);
	return path;
}

/* A copy of the module in which n bytes of its note are others. */
static void patched(const char *name, size_t off, const void *p, size_t n)
{
	char *copy = malloc(image_bytes);

	memcpy(copy, image, image_bytes);
	memcpy(copy + note_at + 12 + off, p, n);
	write_image(name, copy, image_bytes);
	free(copy);
}

static void refused(unsigned kind, const char *name, const char *want, const char *also)
{
	struct ph_err err = { 0 };
	const struct ph_module *m = ph_module_load(kind, name, &err);

	tap_ok(m == NULL && strstr(err.text, want) && strstr(err.text, also), "%s is refused, naming %s and %s", name, want, also);
	if (m || !strstr(err.text, want) || !strstr(err.text, also))
		printf("# %s\n", err.text);
}

static void test_note(void)
{
	struct ph_elf_note note = { 0 };
	struct ph_err err = { 0 };
	int crashes = 0, good = 0;

	tap_ok(note_at > 0, "the module holds its note");
	tap_ok(ph_elf_note_file(write_image("whole", image, image_bytes), &note, &err) == 0, "and it is found: %s", err.text);
	tap_ok(note.magic == PH_MODULE_MAGIC && note.abi_major == PH_ABI_MAJOR && note.abi_minor == PH_ABI_MINOR &&
	       note.kind == PH_KIND_LOOKUP && note.size == sizeof(struct ph_module), "with the numbers of the header");
	for (size_t n = 0; n < image_bytes; n += n < 600 ? 1 : 97)
		if (ph_elf_note_file(write_image("cut", image, n), &note, &err) == 0)
			good++;
	tap_ok(crashes == 0 && good <= 1, "files cut short are refused (%d passed)", good);
	tap_ok(ph_elf_note_file("/proc/self/exe", &note, &err) == -ENOENT, "an ELF file without a note: %s", err.text);
	tap_ok(ph_elf_note_file(tmp_write("text", "#!/bin/sh\n", 0), &note, &err) == -EPROTO, "no ELF file: %s", err.text);
	mkfifo(tmp_path("fifo"), 0600);
	tap_ok(ph_elf_note_file(tmp_path("fifo"), &note, &err) < 0, "a FIFO: %s", err.text);
	tap_ok(ph_elf_note_file(tmp_path("nowhere"), &note, &err) == -ENOENT, "no file: %s", err.text);
}

static void test_refusals(void)
{
	uint32_t magic = 0x12345678, size = 8, kind = PH_KIND_FILTER, huge = 4096;
	uint16_t major = PH_ABI_MAJOR + 1, minor = PH_ABI_MINOR + 1;
	char ours[40], theirs[40];

	patched("lookup_magic.so", 0, &magic, 4);
	patched("lookup_major.so", 4, &major, 2);
	patched("lookup_minor.so", 6, &minor, 2);
	patched("lookup_size.so", 8, &size, 4);
	patched("lookup_huge.so", 8, &huge, 4);
	patched("lookup_kind.so", 12, &kind, 4);
	write_image("lookup_other.so", image, image_bytes);
	write_image("filter_static.so", image, image_bytes);
	tmp_write("lookup_text.so", "not a module\n", 0);
	refused(PH_KIND_LOOKUP, "magic", "0x12345678", "0x50486d31");
	snprintf(ours, sizeof(ours), "router has %d.%d", PH_ABI_MAJOR, PH_ABI_MINOR);
	snprintf(theirs, sizeof(theirs), "interface %d.%d", major, PH_ABI_MINOR);
	refused(PH_KIND_LOOKUP, "major", theirs, ours);
	snprintf(theirs, sizeof(theirs), "interface %d.%d", PH_ABI_MAJOR, minor);
	refused(PH_KIND_LOOKUP, "minor", theirs, ours);
	refused(PH_KIND_LOOKUP, "size", "field size is 8", "this router takes");
	refused(PH_KIND_LOOKUP, "huge", "field size is 4096", "this router takes");
	refused(PH_KIND_LOOKUP, "kind", "3 (filter)", "1 (lookup)");
	refused(PH_KIND_FILTER, "static", "1 (lookup)", "3 (filter)");
	refused(PH_KIND_LOOKUP, "other", "\"static\"", "\"other\"");
	refused(PH_KIND_LOOKUP, "text", "not a usable ELF file", "lookup_text.so");
	refused(PH_KIND_LOOKUP, "nosuchmodule", "there is no lookup module", tmp_dir);
	refused(PH_KIND_LOOKUP, "../../x", "cannot be the name", "x");
	refused(PH_KIND_LOOKUP, "a/b", "cannot be the name", "a/b");
	refused(PH_KIND_LOOKUP, "", "cannot be the name", "lookup");
}

static int demo_open(const struct ph_table_spec *spec, void **ret, struct ph_err *err) { return -1; }
static enum ph_lookup demo_get(void *t, const char *k, struct ph_arena *a, const char **v, struct ph_err *e) { return PH_LOOKUP_NOTFOUND; }
static void demo_close(void *t) { }
static int demo_init(struct ph_err *err) { return 0; }

static void test_sizes(void)
{
	struct ph_lookup_ops ops = { .size = sizeof ops, .open = demo_open, .get = demo_get, .close = demo_close };
	struct ph_module m = { .magic = PH_MODULE_MAGIC, .abi_major = 1, .abi_minor = 0, .size = sizeof m, .kind = PH_KIND_LOOKUP,
		.name = "demo", .version = "1", .summary = "x", .ops.lookup = &ops, .init = demo_init };
	struct ph_param bad = { "p", PH_PARAM_STR, "", 8, 0, 0, 0, "" };
	struct ph_err err = { 0 };
	static const struct ph_module *kept[4];         /* copies stay for the life of the process */
	const struct ph_module *got;

	kept[0] = got = ph_module_check(&m, PH_KIND_LOOKUP, "demo", "x.so", &err);
	tap_ok(got && got->init == demo_init && got != &m, "a descriptor of today: %s", err.text);
	m.size = offsetof(struct ph_module, init);
	kept[1] = got = ph_module_check(&m, PH_KIND_LOOKUP, "demo", "x.so", &err);
	tap_ok(got && got->init == NULL && got->ops.lookup->get == demo_get, "an older, smaller one: what it lacks is NULL");
	ops.size = offsetof(struct ph_lookup_ops, put);
	ops.put = (void *)1;
	kept[2] = got = ph_module_check(&m, PH_KIND_LOOKUP, "demo", "x.so", &err);
	tap_ok(got && got->ops.lookup->put == NULL && got->ops.lookup->close == demo_close, "older, smaller operations, too");
	ops.size = 8;
	tap_ok(!ph_module_check(&m, PH_KIND_LOOKUP, "demo", "x.so", &err) && strstr(err.text, "ops.size"), "too small: %s", err.text);
	ops.size = sizeof ops;
	ops.get = NULL;
	tap_ok(!ph_module_check(&m, PH_KIND_LOOKUP, "demo", "x.so", &err), "no get: %s", err.text);
	ops.get = demo_get;
	m.params = &bad;
	m.n_params = 1;
	m.settings_size = 8;
	tap_ok(!ph_module_check(&m, PH_KIND_LOOKUP, "demo", "x.so", &err), "a parameter outside: %s", err.text);
	tap_ok(kept[0] != kept[1] && kept[1] != kept[2], "each has its copy");
}

static void test_good(void)
{
	struct ph_err err = { 0 };
	const struct ph_module *m = ph_module_load(PH_KIND_LOOKUP, "static", &err);
	struct ph_arena *a = ph_arena_new();
	struct ph_module_info *list;
	size_t n, refusals = 0, usable = 0;

	tap_ok(m != NULL, "the module static is loaded: %s", err.text);
	tap_ok(m == ph_module_load(PH_KIND_LOOKUP, "static", &err), "once");
	tap_ok(strstr(ph_module_path(m), "lookup_static.so") != NULL, "from %s", ph_module_path(m));
	n = ph_modules_scan(a, &list);
	for (size_t i = 0; i < n; i++) {
		refusals += list[i].module == NULL;
		usable += list[i].module != NULL;
		if (list[i].module == NULL && strstr(list[i].path, tmp_dir) == NULL)
			printf("# %s\n", list[i].why);
	}
	tap_ok(usable >= 10 && refusals == 9, "the scan lists %zu modules and %zu refusals", usable, refusals);
	ph_arena_free(&a);
}

int main(void)
{
	const char *build = getenv("PH_MODULE_PATH");
	char path[600];

	tmp_start();
	snprintf(path, sizeof path, "%s/lookup_static.so", build ? build : ".libs");
	slurp(path);
	snprintf(path, sizeof path, "%s:%s", build ? build : ".libs", tmp_dir);
	setenv("PH_MODULE_PATH", path, 1);
	ph_modules_init("/nonexistent");
	test_note();
	test_refusals();
	test_sizes();
	test_good();
	ph_modules_done();
	free(image);
	tmp_end();
	return tap_done();
}
