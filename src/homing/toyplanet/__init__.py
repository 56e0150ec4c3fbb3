"""The generated demo world, written in the upstream formats."""
