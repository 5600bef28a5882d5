"""Every path of DRS goes to one dispatcher, which asks botocore's model for the operation."""

from validator.emulator.drs.responses import DrsResponse

url_bases = [r"https?://drs\.(.+)\.amazonaws\.com"]
url_paths = {"{0}/.*$": DrsResponse.dispatch}
