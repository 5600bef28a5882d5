"""The embedded AWS: moto, what moto lacks, and a control door. It imports nothing else of the validator."""

import functools

import botocore.session

# moto makes one session of botocore after the other, each of which would read the same files anew.
botocore.session.create_loader = functools.cache(botocore.session.create_loader)
