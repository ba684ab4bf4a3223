# sources of cmd
