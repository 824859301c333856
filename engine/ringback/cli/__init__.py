"""Commands of the shell: one module for each group of them, loaded when it is used."""
