"""Jobs as plain processes on this machine: the default, with no dependencies."""
