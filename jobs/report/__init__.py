"""Reports on runs: status, comparison, HTML pages."""
