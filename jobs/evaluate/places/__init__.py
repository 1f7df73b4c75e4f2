"""Places to complete, cut from files: lines, spans of lines, and nodes of the syntax tree.

for place in choose_places(held_out.files, count=200, seed=0):
    place.file.text[place.start : place.end]
"""

from starfreight.jobs.evaluate.places.choose_places import Place, choose_places

__all__ = ["Place", "choose_places"]
