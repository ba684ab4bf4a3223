# sources of doc
