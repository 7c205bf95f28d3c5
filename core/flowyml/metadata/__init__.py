"""What happened: runs, steps, artifacts, lineage, deliveries, decisions."""
