"""Validator of DRS estates: plans, proves, applies and verifies servers spread over several AWS accounts."""

__version__ = "0.1.0"
