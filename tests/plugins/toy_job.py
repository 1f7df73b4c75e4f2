"""The program of a toy kind of job: it adds numbers. It needs only Python, so it runs in any image."""

from __future__ import annotations

import json
import signal
import sys
import time
from pathlib import Path

RECORD = "toy.json"


def send(kind: str, /, **fields: object) -> None:
    """Sends an event."""
    # In one piece, as `print` does not: a pod sends others from another thread.
    sys.stdout.write(json.dumps({"event": kind, **fields}) + "\n")
    sys.stdout.flush()


def save(path: Path, record: dict[str, object]) -> None:
    """Writes the record atomically."""
    partial = path.with_name(f".{path.name}")
    partial.write_text(json.dumps(record))
    partial.replace(path)


def main(arguments: list[str]) -> int:
    """``toy_job DIRECTORY --numbers FILE``: adds the numbers of a file, one at a time."""
    path = Path(arguments[0]) / RECORD
    stopped: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, frame: stopped.append(number))
    record = json.loads(path.read_text())
    numbers = Path(arguments[2] if len(arguments) > 1 else record["numbers"]).read_text().split()
    counted = int(record["counted"])
    send("phase", text="Counting")
    send("plan", steps=len(numbers), done=counted, text="Counting", unit="numbers")
    save(path, {**record, "status": "running"})
    for number in numbers[counted:]:
        if stopped:
            save(path, {**record, "status": "stopped"})
            send("error", kind="JobStopped", what="The count was stopped.", where=str(path), next=None)
            return 75
        time.sleep(float(record["pause"]))
        record |= {"counted": int(record["counted"]) + 1, "sum": int(record["sum"]) + int(number)}
        save(path, {**record, "status": "running"})
        send("advance", count=1, text=f"sum {record['sum']}")
    save(path, {**record, "status": "done"})
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
