# sources of core/smtpd
