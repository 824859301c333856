"""Planted faults: mutations of the product, each with the tests that must notice it.

`faults.toml` is the table. Each fault is put into a copy of this tree, one at a time, and its tests
must fail there; without any fault they must pass.

::

    python tests/planted --processes 2
    python tests/planted --only "monotone status"
"""
