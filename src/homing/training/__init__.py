"""Training: data order, images, one loop for pretraining and fine-tuning, checkpoints, launch."""
