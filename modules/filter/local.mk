# sources of modules/filter
