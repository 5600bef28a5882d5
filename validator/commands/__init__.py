"""The commands, one file each: its options, and what it does with the parts that it needs.

What only some commands need is imported where they need it, so that `check` starts at once.
"""

import argparse
from collections.abc import Callable
from typing import Any

Commands = Callable[[str, Callable[[argparse.Namespace], int], str], Any]
"""Adds a command by name, with the function that runs it and its help, and returns its parser."""
