# sources of modules/lookup
