# sources of modules/restriction
