# sources of core/queue
