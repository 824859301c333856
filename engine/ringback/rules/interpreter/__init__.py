"""The interpreter of steps: a machine whose state is plain data, and what it reads and says."""
