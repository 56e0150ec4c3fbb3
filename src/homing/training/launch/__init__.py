"""Launch a training job: its spec, Accelerate, its processes."""
