"""``python -m starfreight``."""

from __future__ import annotations

from starfreight.import_path import leave_out_current_directory

if __name__ == "__main__":  # Worker processes import this module, too, under another name.
    leave_out_current_directory()

    from starfreight.cli import entry

    entry()
