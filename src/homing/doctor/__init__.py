"""What is wrong with a machine, a configuration and a profile, found before a run is: each check says how to mend it."""
