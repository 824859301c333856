"""The store on PostgreSQL: one database for the nodes of a cluster, under the same functions."""
