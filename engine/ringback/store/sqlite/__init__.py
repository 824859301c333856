"""The store on SQLite: files of one machine, with one writer each."""
