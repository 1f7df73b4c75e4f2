"""Where a job runs: each place is a file or a folder behind one interface (:mod:`jobs.runners.interface`)."""
