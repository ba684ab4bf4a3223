/* posthouse/module.h: what a module exports.
 *
 * A module is one shared object, <module_directory>/<kind>_<name>.so (name as the configuration writes it), that exports
 * one constant, ph_module, by way of PH_MODULE.  The same numbers stand in an ELF note (section .note.posthouse), so the core
 * refuses a module with the wrong magic or major version before any of its code runs, and says which field differs.
 *
 * History of the interface (within a major version it only grows; a smaller struct is an older minor and is accepted):
 *   1.0  first version: lookup, restriction, filter, delivery, sasl.
 *   1.1  base: ph_base64_decode, ph_base64_encode, ph_str_ascii, ph_str_fold, ph_str_fold_eq.
 *        co: ph_fd_wait, ph_loop_defer.
 *        param: ph_conf_tcp_port, ph_conf_service_words, ph_conf_time, ph_conf_utf8.
 *        dns: ph_dns_query_all_secure, ph_dns_validates, ph_dns_answer.owner, ph_dnslist_filter_parse, ph_dnslist_filter_match,
 *        ph_dns_answer_filter.
 *        io, tls: ph_tls_info.client_digest, .verify_code and what follows; ph_tls_settings.chain_pem, .trust_anchor_files; ph_tls_policy.report.
 *        lookup: ph_maps_find_owned, ph_maps_allow_lines, PH_LOOKUP_REPEATABLE, ph_records.
 *        session: ph_session_command, ph_session_instance, ph_session_expand, ph_session_is_own_address, ph_session_is_local_domain, ph_session_verify,
 *        ph_session_destination, ph_session_address_family, ph_session_discards, ph_session_dns_query, ph_session_dns_filter.
 *        restriction: ph_restriction_ops.prefetch, ph_session_list, ph_session_explaining, PH_ACCESS_CCERT, PH_ACCESS_SASL,
 *        PH_ACCESS_REVERSE_CLIENT, ph_status_fit.
 *        delivery: ph_delivery_ops.check, ph_delivery_result_some, ph_delivery_pass_part, ph_delivery_part_owned, ph_delivery_expanded,
 *        ph_delivery_tls_request, ph_address_list.
 *        run: ph_run_identity, ph_run_environment, ph_run_read, ph_run_limit, ph_run_spec.dialogue, .gain_privileges.
 *        message: ph_mime_downgrade_edit, ph_header_map_addresses.
 *        counter: the kind PH_KIND_COUNTER, posthouse/counter.h. */
#ifndef POSTHOUSE_MODULE_H
#define POSTHOUSE_MODULE_H

#include <posthouse/base.h>
#include <posthouse/param.h>

#ifdef __cplusplus
extern "C" {
#endif

#define PH_MODULE_MAGIC 0x50486d31u     /* "PHm1" */
#define PH_ABI_MAJOR 1
#define PH_ABI_MINOR 1

enum ph_module_kind {
	PH_KIND_LOOKUP = 1,
	PH_KIND_RESTRICTION,
	PH_KIND_FILTER,
	PH_KIND_DELIVERY,
	PH_KIND_SASL,
	PH_KIND_COUNTER,                /* since 1.1 */
};

struct ph_lookup_ops;
struct ph_restriction_ops;
struct ph_filter_ops;
struct ph_delivery_ops;
struct ph_sasl_ops;
struct ph_counter_ops;

struct ph_module {
	uint32_t magic;                 /* PH_MODULE_MAGIC */
	uint16_t abi_major, abi_minor;  /* PH_ABI_MAJOR, PH_ABI_MINOR */
	uint32_t size;                  /* sizeof(struct ph_module) */
	uint32_t kind;                  /* enum ph_module_kind */
	const char *name;               /* as the configuration names it: "hash", "reject_unauth_destination" */
	const char *version;            /* the module's own, for "posthouse modules" */
	const char *summary;            /* one line for "posthouse modules" and the manual */
	/* The main.cf parameters that it owns; the core fills one settings block of settings_size bytes for each
	 * configuration and service and hands it to the operations.  May be NULL, 0, 0. */
	const struct ph_param *params;
	size_t n_params;
	size_t settings_size;
	union {                         /* by kind */
		const struct ph_lookup_ops *lookup;
		const struct ph_restriction_ops *restriction;
		const struct ph_filter_ops *filter;
		const struct ph_delivery_ops *delivery;
		const struct ph_sasl_ops *sasl;
		const struct ph_counter_ops *counter;
	} ops;
	/* Once per process before first use, and at its end; may be NULL.  init: 0, or negative with err: the module is
	 * refused with that text. */
	int (*init)(struct ph_err *err);
	void (*fini)(void);
};

struct ph_module_note {
	uint32_t namesz, descsz, type;
	char name[12];                  /* "posthouse" */
	uint32_t magic;
	uint16_t abi_major, abi_minor;
	uint32_t size, kind;
};

/* PH_MODULE(kind, "name", "1.0", "what it does", .ops.lookup = &ops, ...);
 * A program that links several modules (fuzzers) compiles each with a PH_MODULE_SYMBOL of its own and lists them in ph_static_modules. */
#ifndef PH_MODULE_SYMBOL
#define PH_MODULE_SYMBOL ph_module
#endif
#define PH_MODULE(kind_, name_, version_, summary_, ...)                                                      \
	__attribute__((used, section(".note.posthouse"), aligned(4)))                                             \
	static const struct ph_module_note ph_module_note_ = { 10, 16, 1, "posthouse", PH_MODULE_MAGIC,           \
		PH_ABI_MAJOR, PH_ABI_MINOR, sizeof(struct ph_module), kind_ };                                    \
	extern const struct ph_module PH_MODULE_SYMBOL;                                                           \
	__attribute__((visibility("default"))) const struct ph_module PH_MODULE_SYMBOL = {                        \
		.magic = PH_MODULE_MAGIC, .abi_major = PH_ABI_MAJOR, .abi_minor = PH_ABI_MINOR,                   \
		.size = sizeof(struct ph_module), .kind = kind_, .name = name_, .version = version_,              \
		.summary = summary_, __VA_ARGS__ }
/* The parameter table of a module: PH_MODULE_PARAMS(table, struct foo_settings). */
#define PH_MODULE_PARAMS(table, type) .params = (table), .n_params = PH_ARRAY_LEN(table), .settings_size = sizeof(type)

#ifdef __cplusplus
}
#endif
#endif
