"""From a bare board to a working charger: what `tapgate flash`, `provision` and `selftest` do."""
