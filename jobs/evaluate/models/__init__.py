"""Models to evaluate: an interface and a file for each way to run one."""
