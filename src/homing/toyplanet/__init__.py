"""The toy planet: a generated demo world, written in the formats of the real data sources."""
