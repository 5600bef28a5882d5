"""The embedded AWS: moto, what moto lacks, and a control door. It imports nothing else of the validator."""

import functools
import os

import botocore.session

# No browser asks, and moto would look at every answer for one.
os.environ["MOTO_DISABLE_GLOBAL_CORS"] = "true"

# moto makes one session of botocore after the other, each of which would read the same files anew.
botocore.session.create_loader = functools.cache(botocore.session.create_loader)
