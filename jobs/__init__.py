"""The room of the jobs. A job trains or evaluates, wherever it runs, and leaves a Run."""
