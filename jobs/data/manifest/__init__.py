"""The data manifest: which samples a run uses and leaves out, decided once and recorded file by file."""
