# sources of core/message
