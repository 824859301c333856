"""Storage: the log, the journal, and every line of SQL."""
