# sources of core/agent
