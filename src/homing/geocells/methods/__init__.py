"""The methods that partition the land into geocells."""
