"""Rows of Parquet files and datasets, read by a process with limited memory, which imports little."""
