"""Where jobs run: a directory for each backend, behind one interface."""
