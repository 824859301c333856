"""Plugin hosts: the processes that run code of plugins, and the pool that calls them."""
