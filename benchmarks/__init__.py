"""The budgets, measured: ``python -m benchmarks`` runs every section and writes the table."""
