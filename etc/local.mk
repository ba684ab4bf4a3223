# sources of etc
