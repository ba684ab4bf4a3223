# sources of core/route
