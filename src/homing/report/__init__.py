"""What a person looks at: the report page, its maps and charts, and the model package with its card."""
