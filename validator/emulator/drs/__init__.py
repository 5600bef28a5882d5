"""AWS Elastic Disaster Recovery in moto's shape: urls, responses, models, exceptions."""

from validator.emulator.drs.models import drs_backends

__all__ = ["drs_backends"]
