"""Training: data, one loop for pretraining and fine-tuning, gradient accumulation, checkpoints, launch."""
