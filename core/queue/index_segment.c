/* index_segment.c: what the index knows of the files that hold messages.
 * State: struct ph_segment.  No I/O, no yield. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "queue/index.h"

#ifndef PH_SEGMENT_START
#define PH_SEGMENT_START 4096
#endif

static size_t segment_key(char *buf, size_t bytes, const char *file, uint64_t instance)
{
	int n = snprintf(buf, bytes, "%.39s %016llx", file, (unsigned long long)instance);

	return (size_t)n;
}

struct ph_segment *ph_index_segment_find(struct ph_index *ix, const char *file, uint64_t instance)
{
	char key[64];

	return ph_htab_getn(&ix->segment_by_name, key, segment_key(key, sizeof(key), file, instance));
}

/* "incoming/S03.0000001a" is a segment, "incoming/<queue id>" a message of its own. */
static bool is_own(const char *file)
{
	const char *base = strrchr(file, '/');

	base = base ? base + 1 : file;
	return !(base[0] == 'S' && strchr(base, '.'));
}

struct ph_segment *ph_index_segment(struct ph_index *ix, const char *file, uint64_t instance)
{
	struct ph_segment *seg = ph_index_segment_find(ix, file, instance);
	char key[64];
	size_t n;

	if (seg)
		return seg;
	n = segment_key(key, sizeof(key), file, instance);
	/* The key stands behind the structure. */
	seg = ph_alloc(sizeof(*seg) + n);
	memcpy(seg + 1, key, n);
	snprintf(seg->file, sizeof(seg->file), "%s", file);
	seg->instance = instance;
	seg->own = is_own(file);
	seg->covered = seg->end = PH_SEGMENT_START;
	ph_list_append(&ix->segments, &seg->node);
	ph_htab_putn(&ix->segment_by_name, (const char *)(seg + 1), n, seg);
	return seg;
}

void ph_index_segment_forget(struct ph_index *ix, struct ph_segment *seg)
{
	char key[64];

	ph_assert(seg->live == 0);
	ph_htab_deln(&ix->segment_by_name, key, segment_key(key, sizeof(key), seg->file, seg->instance));
	ph_list_del(&seg->node);
	free(seg->holes);
	free(seg);
}

/* Join what now touches covered. */
static void cover_join(struct ph_segment *seg)
{
	uint32_t k = 0;

	while (k < seg->n_holes && seg->holes[k].from <= seg->covered) {
		if (seg->holes[k].to > seg->covered)
			seg->covered = seg->holes[k].to;
		k++;
	}
	seg->n_holes -= k;
	if (seg->n_holes > 0)
		memmove(seg->holes, seg->holes + k, seg->n_holes * sizeof(seg->holes[0]));
}

bool ph_segment_covers(const struct ph_segment *seg, uint64_t offset)
{
	uint32_t i;

	if (offset < seg->covered)
		return true;
	for (i = 0; i < seg->n_holes; i++) {
		if (offset >= seg->holes[i].from && offset < seg->holes[i].to)
			return true;
	}
	return false;
}

void ph_segment_cover(struct ph_segment *seg, uint64_t from, uint64_t to)
{
	uint32_t i;

	if (to > seg->end)
		seg->end = to;
	if (to <= seg->covered)
		return;
	if (from <= seg->covered) {
		seg->covered = to;
		cover_join(seg);
		return;
	}
	/* Out of order: a short list, since a group commit announces all of its messages in one loop turn. */
	for (i = seg->n_holes; i > 0 && seg->holes[i - 1].from > from; i--)
		;
	if (i > 0 && seg->holes[i - 1].to >= from) {
		if (to > seg->holes[i - 1].to)
			seg->holes[i - 1].to = to;
		i--;
		while (i + 1 < seg->n_holes && seg->holes[i + 1].from <= seg->holes[i].to) {
			if (seg->holes[i + 1].to > seg->holes[i].to)
				seg->holes[i].to = seg->holes[i + 1].to;
			memmove(seg->holes + i + 1, seg->holes + i + 2, (seg->n_holes - i - 2) * sizeof(seg->holes[0]));
			seg->n_holes--;
		}
		return;
	}
	if (seg->n_holes == seg->cap_holes) {
		seg->cap_holes = seg->cap_holes ? seg->cap_holes * 2 : 8;
		seg->holes = ph_realloc(seg->holes, seg->cap_holes * sizeof(seg->holes[0]));
	}
	memmove(seg->holes + i + 1, seg->holes + i, (seg->n_holes - i) * sizeof(seg->holes[0]));
	seg->holes[i] = (struct ph_extent){ from, to };
	seg->n_holes++;
	if (i + 1 < seg->n_holes && seg->holes[i + 1].from <= to) {
		if (seg->holes[i + 1].to > to)
			seg->holes[i].to = seg->holes[i + 1].to;
		memmove(seg->holes + i + 1, seg->holes + i + 2, (seg->n_holes - i - 2) * sizeof(seg->holes[0]));
		seg->n_holes--;
	}
}

void ph_index_free(struct ph_index **ixp)
{
	struct ph_index *ix = *ixp;

	if (ix == NULL)
		return;
	ph_list_for_each_safe(e, &ix->all, struct ph_entry, all) {
		if ((e->marks & PH_MARK_MARKER) == 0)
			ph_index_remove(ix, e);
	}
	ph_list_for_each_safe(seg, &ix->segments, struct ph_segment, node)
		ph_index_segment_forget(ix, seg);
	ph_htab_done(&ix->by_id);
	ph_htab_done(&ix->segment_by_name);
	ph_htab_done(&ix->reason_by_text);
	ph_heap_done(&ix->incoming);
	ph_heap_done(&ix->deferred);
	free(ix->reasons);
	free(ix);
	*ixp = NULL;
}
