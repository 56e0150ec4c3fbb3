"""Launching of training jobs: their spec, Accelerate, their processes."""
