# sources of core/master
