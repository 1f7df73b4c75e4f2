"""The program in the box of the tests, where a stand-in has the name of the function.

The stand-in has the model's code called in the other box; the parent passes these messages on unread. The
reference solution defines what else the tests use: helpers, imports, constants.
"""

from __future__ import annotations

from starfreight.jobs.evaluate.python_tests.values_source import VALUES_SOURCE

TESTER_SOURCE = (
    VALUES_SOURCE
    + """
import builtins as _builtins


class _Ended(BaseException):
    pass


def _stand_in(*arguments, **named):
    try:
        request = _pack([list(arguments), named])
    except NotPlain as error:
        raise _Unable(f"the tests pass {error}") from None
    _send({"kind": "call", "call": request})
    answer = _answer()
    if answer["kind"] == "returned":
        if answer["arguments"] is not None:
            for mine, new in zip(arguments, _unpack(answer["arguments"])):
                _change(mine, new)
        return _unpack(answer["value"])
    if answer["kind"] == "raised":
        kind = getattr(_builtins, str(answer.get("type"))[:80], None)
        if not (isinstance(kind, type) and issubclass(kind, Exception)):
            kind = Exception
        if issubclass(kind, (StopIteration, StopAsyncIteration)):
            # It would end a test's map() or loop as if all items had passed.
            kind = RuntimeError
        try:
            error = kind(str(answer.get("text"))[:500])
        except TypeError:
            error = Exception(str(answer.get("text"))[:500])
        raise error
    raise _Ended()


def _answer():
    # From the model's code, as it is: any bytes.
    try:
        answer = _receive()
    except (ValueError, RecursionError, MemoryError):
        raise _Ended() from None
    if type(answer) is dict and (
        answer.get("kind") == "raised"
        or answer.get("kind") == "returned" and "value" in answer and "arguments" in answer
    ):
        return answer
    raise _Ended()


class _Unable(BaseException):
    pass


def _change(mine, new):
    if type(mine) is list and type(new) is list:
        mine[:] = new
    elif type(mine) in (dict, set) and type(new) is type(mine):
        mine.clear()
        mine.update(new)


def _test(problem):
    module = type(_sys)("tests")
    _sys.modules["tests"] = module
    # A return from here is a verdict; everything else is a failure.
    try:
        sources = [compile(problem[name], name + ".py", "exec", dont_inherit=True)
                   for name in ("reference", "tests")]
    except (SyntaxError, ValueError) as error:
        return {"kind": "verdict", "passed": False, "unable": True,
                "error": f"they are not valid Python: {error}"[:500]}
    try:
        exec(sources[0], module.__dict__)
        setattr(module, problem["name"], _stand_in)
        exec(sources[1], module.__dict__)
    except _Unable as error:
        return {"kind": "verdict", "passed": False, "unable": True, "error": str(error)}
    except BaseException as error:
        return {"kind": "verdict", "passed": False, "unable": False,
                "error": f"{type(error).__name__}: {error}"[:500]}
    return {"kind": "verdict", "passed": True, "unable": False, "error": ""}


def main():
    _send(_test(_receive()))
"""
)
