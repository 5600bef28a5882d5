"""Deploys DRS agents onto tagged EC2 instances: planned, sent in waves, confirmed and recorded.

The same code runs as the module's function and under `validator deploy`. It needs boto3 alone.
"""
