"""Where examples come from, how they are made, and the record of what was used."""
