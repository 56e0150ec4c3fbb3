"""A configuration and a profile for a user's own photos and machine, from a few answers."""
