"""The tests of the stores; a package so that they can share `tests.store.kit`."""
