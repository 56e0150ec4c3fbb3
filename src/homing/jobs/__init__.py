"""What runs a job of the workflow and never changes its result: logs, retries, workers, fingerprints, provenance."""
