"""The shell: what a person types. One file per group of commands, each loaded when it is used."""
