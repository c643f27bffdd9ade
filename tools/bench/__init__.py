"""The budgets of DESIGN section 11, measured: `python -m tools.bench`."""
