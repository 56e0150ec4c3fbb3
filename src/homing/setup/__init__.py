"""Write a configuration and a profile for a user's photos and machine from a few answers."""
