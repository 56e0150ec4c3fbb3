"""Stored photos: shards and their index, decoding, EXIF, perceptual hashes, splits, leaks."""
