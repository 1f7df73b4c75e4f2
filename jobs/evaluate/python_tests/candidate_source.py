"""The program in the box of the model's code: it defines the function and answers calls of it.

Everything in this box is the model's to change. The worst that it can do is to return wrong values.
"""

from __future__ import annotations

from starfreight.jobs.evaluate.python_tests.values_source import VALUES_SOURCE

CANDIDATE_SOURCE = (
    VALUES_SOURCE
    + """
def _raised(error):
    return {"kind": "raised", "type": type(error).__name__, "text": str(error)[:500]}


def _called(function, request):
    arguments, named = _unpack(request)
    before = _pack([arguments, named])
    packed = _pack(function(*arguments, **named))
    after = _pack([arguments, named])
    return {"kind": "returned", "value": packed, "arguments": None if after == before else after[0]}


def main():
    start = _receive()
    # With a name and a module, as dataclasses and type hints need them.
    module = type(_sys)("candidate")
    _sys.modules["candidate"] = module
    try:
        exec(compile(start["code"], "candidate.py", "exec", dont_inherit=True), module.__dict__)
        function = getattr(module, start["name"])
    except BaseException as error:
        _send(_raised(error))
        return
    _send({"kind": "defined"})
    while True:
        request = _receive()["call"]
        try:
            answer = _called(function, request)
        except BaseException as error:
            answer = _raised(error)
        _send(answer)

"""
)
