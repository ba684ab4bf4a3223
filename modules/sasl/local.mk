# sources of modules/sasl
