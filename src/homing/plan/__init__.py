"""Estimate what a run takes before it runs: jobs, disk, hours, critical path. Nothing is downloaded for it."""
