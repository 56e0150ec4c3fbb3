"""Raw files: where they are, how they are downloaded and verified; a file appears only once it is verified."""
