"""What may be asked of the REST API? One module per resource, under /2010-04-01/Accounts/{AC}/."""
