"""Invariants on one key, role or template as custom checkov checks, for pipelines that are checkov's.

Nothing here is imported by the validator: checkov loads this folder with `--external-checks-dir`,
in its own environment, where this package must be importable.
"""
