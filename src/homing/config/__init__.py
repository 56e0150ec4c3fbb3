"""The configuration: one schema, what a run and a rule take from it, and the pages that are written from it."""
