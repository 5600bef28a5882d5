"""The embedded AWS: moto, what moto lacks, and a control door. It imports nothing else of the validator."""
