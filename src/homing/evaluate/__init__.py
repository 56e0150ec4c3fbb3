"""Evaluation: one evaluator for every prediction file, and baselines that need no model."""
