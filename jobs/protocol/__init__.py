"""The protocol between a job and its observers: events on standard output, the log, and the record."""
