"""The hall: the command line and the three records that pass between rooms.

A room (``images``, ``jobs``, ``packager``) imports the hall and never another room. Python modules are
private; the public interface is the commands with ``--json``, their exit codes and the file formats.
"""

__version__ = "0.1.0"
