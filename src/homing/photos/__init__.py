"""Photo collections: adapters, the photo table, image decoding, shards and their index, splits."""
