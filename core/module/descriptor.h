/* descriptor.h: the numbers of a module against ours, private to the loader. */
#ifndef CORE_MODULE_DESCRIPTOR_H
#define CORE_MODULE_DESCRIPTOR_H

#include "module/elfnote.h"
#include <posthouse/module.h>

/* 0, or -EPROTO with a text that names the field, theirs and ours. */
int ph_descriptor_check_numbers(const struct ph_elf_note *n, enum ph_module_kind kind, const char *path, struct ph_err *err);
#endif
