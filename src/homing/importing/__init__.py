"""Photo collections come in: adapters, archives read in place, validation of rows, re-encoding, storage as shards."""
