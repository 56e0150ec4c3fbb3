"""The model package: what a finished run hands over, how it answers, and how it is handed on."""
