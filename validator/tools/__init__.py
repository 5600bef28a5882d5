"""Outside programs and old libraries, one file each."""
