"""The program in a box that runs another one as its child, and tells how that ended."""

from __future__ import annotations

PROGRAM_SOURCE = """
import base64 as _base64, json as _json, os as _os, select as _select, stat as _stat
import subprocess as _subprocess

_MOST_KEPT, _MOST_ERRORS = 32 << 20, 4000


def main():
    request = _json.loads(receive_message())
    folder = _os.path.join(_os.getcwd(), "work")
    for name, data in request["files"].items():
        path = _os.path.join(folder, name)
        _os.makedirs(_os.path.dirname(path), exist_ok=True)
        # Some sandboxes allow no chmod.
        with open(_os.open(path, _os.O_WRONLY | _os.O_CREAT, 0o755), "wb") as file:
            file.write(_base64.b64decode(data))
    answer = _run(request, folder)
    answer["files"] = _kept(folder) if request["keep"] else {}
    send_message(_json.dumps(answer).encode())


def _run(request, folder):
    try:
        process = _subprocess.Popen(
            request["command"], cwd=folder, stdin=_subprocess.PIPE, stdout=_subprocess.PIPE,
            stderr=_subprocess.PIPE, start_new_session=True,
            env={
                "PATH": "/usr/bin:/bin", "HOME": folder, "TMPDIR": folder, "LANG": "C.UTF-8",
                "OPENSSL_CONF": "/dev/null",  # Node refuses to start if it may not read the system's.
            },
        )
    except OSError as error:
        return {"ended": "exited", "status": 127, "output": "", "errors": str(error)[:500]}
    try:
        process.stdin.write(request["input"].encode())  # Less than a pipe holds.
        process.stdin.close()
    except OSError:
        pass
    texts = {process.stdout.fileno(): b"", process.stderr.fileno(): b""}
    output = process.stdout.fileno()
    poll = _select.poll()
    for number in texts:
        poll.register(number, _select.POLLIN)
    ended, left = "exited", 2
    while left:
        # A process that outlives the program may hold its pipes.
        over = process.poll() is not None
        ready = poll.poll(0 if over else 20)
        for number, _ in ready:
            piece = _os.read(number, 1 << 16)
            if not piece:
                poll.unregister(number)
                left -= 1
            texts[number] += piece
            if number != output:
                texts[number] = texts[number][-_MOST_ERRORS:]
        if len(texts[output]) > request["most"]:
            ended = "output"
            break
        if over and not ready:
            break
    if ended == "output":
        process.kill()
    status = process.wait()
    errors = next(text for number, text in texts.items() if number != output)
    return {
        "ended": ended, "status": status if ended == "exited" else None,
        "output": texts[output][: request["most"]].decode("utf-8", "replace"),
        "errors": errors.decode("utf-8", "replace"),
    }


def _kept(folder):
    files, size = {}, 0
    for place, _, names in _os.walk(folder):
        for name in names:
            path = _os.path.join(place, name)
            found = _os.lstat(path)
            if _stat.S_ISREG(found.st_mode) and size + found.st_size <= _MOST_KEPT:
                size += found.st_size
                with open(path, "rb") as file:
                    files[_os.path.relpath(path, folder)] = _base64.b64encode(file.read()).decode()
    return files
"""
