"""Records of instructions without a conversation to learn: tool calls, empty answers, pictures."""

from __future__ import annotations

from starfreight.jobs.data.filters.interface import Document


class ConversationFilter:
    """Rejects records that their dialect leaves out."""

    name = "conversation"

    def reject(self, document: Document) -> str | None:
        """Return the reason of the reading."""
        return document.reading.left_out if document.reading is not None else None
