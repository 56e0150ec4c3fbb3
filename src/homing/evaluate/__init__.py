"""Evaluation: one evaluator for every prediction file, and the baselines that need no model."""
