"""The hall: the front door and the three records that pass between the rooms.

A room (``images``, ``jobs``, ``packager``) imports the hall and never another room.
"""

__version__ = "0.1.0"
