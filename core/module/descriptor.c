/* descriptor.c: may this module be used?  Pure checks of its numbers, and the copy of today's size that the core works with.
 *
 * Owns the copies (for the life of the process).  Does not yield. */
#include "module/loader.h"
#include "module/descriptor.h"

#include <posthouse/counter.h>
#include <posthouse/delivery.h>
#include <posthouse/filter.h>
#include <posthouse/lookup.h>
#include <posthouse/restriction.h>
#include <posthouse/sasl.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define MAX_PARAMS 1024
#define MAX_SETTINGS (1 << 20)

static const char *const kind_names[] = { "?", "lookup", "restriction", "filter", "delivery", "sasl", "counter" };

const char *ph_module_kind_name(unsigned kind)
{
	return kind < PH_ARRAY_LEN(kind_names) ? kind_names[kind] : "?";
}

int ph_descriptor_check_numbers(const struct ph_elf_note *n, enum ph_module_kind kind, const char *path, struct ph_err *err)
{
	if (n->magic != PH_MODULE_MAGIC)
		return ph_err_set(err, -EPROTO, "module %s is refused: field magic is 0x%08x, this router has 0x%08x", path,
				  n->magic, PH_MODULE_MAGIC);
	if (n->abi_major != PH_ABI_MAJOR)
		return ph_err_set(err, -EPROTO, "module %s is refused: field abi_major: it was built for interface %u.%u, this "
				  "router has %u.%u", path, n->abi_major, n->abi_minor, PH_ABI_MAJOR, PH_ABI_MINOR);
	if (n->abi_minor > PH_ABI_MINOR)
		return ph_err_set(err, -EPROTO, "module %s is refused: field abi_minor: it was built for interface %u.%u, this "
				  "router has %u.%u and is older", path, n->abi_major, n->abi_minor, PH_ABI_MAJOR, PH_ABI_MINOR);
	if (n->kind != kind)
		return ph_err_set(err, -EPROTO, "module %s is refused: field kind is %u (%s), its file name says %u (%s)", path,
				  n->kind, ph_module_kind_name(n->kind), kind, ph_module_kind_name(kind));
	/* Up to and with ops it has been there from 1.0 on; behind that, smaller is older. */
	if (n->size < offsetof(struct ph_module, init) || n->size > sizeof(struct ph_module))
		return ph_err_set(err, -EPROTO, "module %s is refused: field size is %u (interface %u.%u), this router takes %zu "
				  "to %zu (interface %u.%u)", path, n->size, n->abi_major, n->abi_minor,
				  offsetof(struct ph_module, init), sizeof(struct ph_module), PH_ABI_MAJOR, PH_ABI_MINOR);
	return 0;
}

/* A zero-extended copy of a struct of operations; the first field of each is its size.  min: what 1.0 had. */
static const void *copy_ops(const void *theirs, size_t min, size_t ours, const char *path, struct ph_err *err)
{
	uint32_t size;
	void *copy;

	if (theirs == NULL) {
		ph_err_set(err, -EPROTO, "module %s is refused: field ops is empty", path);
		return NULL;
	}
	memcpy(&size, theirs, sizeof size);
	if (size < min || size > ours) {
		ph_err_set(err, -EPROTO, "module %s is refused: field ops.size is %u, this router takes %zu to %zu (interface %u.%u)",
			   path, size, min, ours, PH_ABI_MAJOR, PH_ABI_MINOR);
		return NULL;
	}
	copy = ph_alloc(ours);
	memcpy(copy, theirs, size);
	return copy;
}

#define END_OF(type, field) (offsetof(type, field) + sizeof(((type *)0)->field))

static int missing(const char *path, const char *what, struct ph_err *err)
{
	return ph_err_set(err, -EPROTO, "module %s is refused: its operations lack %s", path, what);
}

static int take_ops(struct ph_module *m, const char *path, struct ph_err *err)
{
	switch ((enum ph_module_kind)m->kind) {
	case PH_KIND_LOOKUP: {
		const struct ph_lookup_ops *o = copy_ops(m->ops.lookup, END_OF(struct ph_lookup_ops, close), sizeof *o, path, err);

		m->ops.lookup = o;
		if (o && (!o->open || !o->get || !o->close))
			return missing(path, "open, get or close", err);
		return o ? 0 : -EPROTO;
	}
	case PH_KIND_RESTRICTION: {
		const struct ph_restriction_ops *o = copy_ops(m->ops.restriction, END_OF(struct ph_restriction_ops, check),
							      sizeof *o, path, err);

		m->ops.restriction = o;
		if (o && (!o->check || o->n_args < 0 || o->n_args > 1))
			return missing(path, "check, or n_args is neither 0 nor 1", err);
		return o ? 0 : -EPROTO;
	}
	case PH_KIND_FILTER: {
		const struct ph_filter_ops *o = copy_ops(m->ops.filter, END_OF(struct ph_filter_ops, close), sizeof *o, path, err);

		m->ops.filter = o;
		return o ? 0 : -EPROTO;
	}
	case PH_KIND_DELIVERY: {
		const struct ph_delivery_ops *o = copy_ops(m->ops.delivery, END_OF(struct ph_delivery_ops, deliver), sizeof *o,
							   path, err);

		m->ops.delivery = o;
		if (o && !o->deliver)
			return missing(path, "deliver", err);
		return o ? 0 : -EPROTO;
	}
	case PH_KIND_SASL: {
		const struct ph_sasl_ops *o = copy_ops(m->ops.sasl, END_OF(struct ph_sasl_ops, done), sizeof *o, path, err);

		m->ops.sasl = o;
		if (o && !(o->mechanisms && o->start && o->step && o->done) && !(o->client_start && o->client_step && o->done))
			return missing(path, "a complete server or client side", err);
		return o ? 0 : -EPROTO;
	}
	case PH_KIND_COUNTER: {
		const struct ph_counter_ops *o = copy_ops(m->ops.counter, END_OF(struct ph_counter_ops, change), sizeof *o, path, err);

		m->ops.counter = o;
		if (o && (!o->open || !o->close || !o->change))
			return missing(path, "open, close or change", err);
		return o ? 0 : -EPROTO;
	}
	}
	m->ops.lookup = NULL;
	return ph_err_set(err, -EPROTO, "module %s is refused: field kind is %u, which this router does not know", path, m->kind);
}

static size_t param_bytes(enum ph_param_type type)
{
	switch (type) {
	case PH_PARAM_STR:
	case PH_PARAM_RAW:
		return sizeof(char *);
	case PH_PARAM_BOOL:
		return sizeof(bool);
	case PH_PARAM_INT:
		return sizeof(int);
	case PH_PARAM_LONG:
	case PH_PARAM_TIME:
		return sizeof(int64_t);
	}
	return 0;
}

static int check_params(const struct ph_module *m, const char *path, struct ph_err *err)
{
	if (m->n_params > MAX_PARAMS || m->settings_size > MAX_SETTINGS || (m->n_params > 0 && m->params == NULL))
		return ph_err_set(err, -EPROTO, "module %s is refused: fields params, n_params (%zu) and settings_size (%zu) do not "
				  "fit together", path, m->n_params, m->settings_size);
	for (size_t i = 0; i < m->n_params; i++) {
		const struct ph_param *p = &m->params[i];
		size_t n = param_bytes(p->type);

		if (p->name == NULL || p->name[0] == '\0' || p->def == NULL || n == 0)
			return ph_err_set(err, -EPROTO, "module %s is refused: parameter %zu (%s) lacks its name, type or default",
					  path, i, p->name ? p->name : "");
		if (p->offset > m->settings_size || n > m->settings_size - p->offset)
			return ph_err_set(err, -EPROTO, "module %s is refused: parameter %s lies outside of its settings", path,
					  p->name);
	}
	return 0;
}

const struct ph_module *ph_module_check(const struct ph_module *theirs, enum ph_module_kind kind, const char *name,
					const char *path, struct ph_err *err)
{
	struct ph_elf_note n = { theirs->magic, theirs->abi_major, theirs->abi_minor, theirs->size, theirs->kind };
	struct ph_module *m = NULL;

	if (ph_descriptor_check_numbers(&n, kind, path, err) < 0)
		return NULL;
	m = ph_alloc(sizeof *m);
	memcpy(m, theirs, theirs->size);
	if (m->name == NULL || strcmp(m->name, name) != 0) {
		ph_err_set(err, -EPROTO, "module %s is refused: field name is \"%s\", its file name says \"%s\"", path,
			   m->name ? m->name : "", name);
		goto refused;
	}
	if (check_params(m, path, err) < 0)
		goto refused;
	if (take_ops(m, path, err) < 0) {
		free((void *)(uintptr_t)m->ops.lookup); /* our copy, whichever of the union it is */
		goto refused;
	}
	if (m->version == NULL)
		m->version = "?";
	if (m->summary == NULL)
		m->summary = "";
	return m;
refused:
	free(m);
	return NULL;
}
