# sources of core/module
