/* placeholder, replaced by the runtime */
typedef int ph_placeholder;
