# sources of modules/delivery
