"""Where facts are kept: the log, the journal, and every line of SQL."""
