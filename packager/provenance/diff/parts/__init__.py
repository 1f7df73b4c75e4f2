"""The parts of packages that are compared, one file each."""
