"""Which clients can pull a release from a registry, found by sending each client's own requests.

diagnosis = diagnose("ghcr.io/acme/coder:1.0", insecure=False, console=console)
print(diagnosis.as_text())
"""

from starfreight.packager.doctor.diagnose import Diagnosis, diagnose

__all__ = ["Diagnosis", "diagnose"]
