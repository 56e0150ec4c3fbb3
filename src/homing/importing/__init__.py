"""Import photo collections: adapters, archives read in place, validation, re-encoding, shards."""
