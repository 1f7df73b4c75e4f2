"""Token blocks: the file that training reads, and how it is made from samples."""
