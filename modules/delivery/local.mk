# sources of modules/delivery
include modules/delivery/local/local.mk
