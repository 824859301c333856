"""Resources of the REST API, one module each, under /2010-04-01/Accounts/{AC}/."""
