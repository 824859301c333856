"""PostgreSQL servers for tests: real ones, started and ended by the tests that need them."""
