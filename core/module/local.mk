# sources of core/module
libcore_la_SOURCES += \
	core/module/elfnote.c core/module/elfnote.h core/module/descriptor.c core/module/descriptor.h \
	core/module/loader.c core/module/loader.h core/module/loader_private.h core/module/scan.c \
	core/module/table.c core/module/table.h core/module/maps.c core/module/maps_address.c
