"""What a run will take, before it runs: jobs, disk, hours, the longest chain. Nothing is downloaded for it."""
