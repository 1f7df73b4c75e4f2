"""Dialects of instruction data: one reading of a record, for filters, plans and training.

reading = read_conversation(record, data, "pairs.jsonl:12")
reading.turns, reading.left_out, reading.unused

Each dialect is one file, and one line in :data:`~starfreight.jobs.data.dialects.reader.DIALECTS`.
"""

from starfreight.jobs.data.dialects.describe import describe_dialect
from starfreight.jobs.data.dialects.interface import Reading, Turn
from starfreight.jobs.data.dialects.reader import read_conversation

__all__ = ["Reading", "Turn", "describe_dialect", "read_conversation"]
