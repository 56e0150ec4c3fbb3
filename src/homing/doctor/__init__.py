"""What is wrong with a machine, a configuration or a profile, found before a run starts, with the cure."""
