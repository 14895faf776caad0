"""`@given` in a suite: the user's own data sets, all that `--data` names."""

from __future__ import annotations

from collections.abc import Sequence

from bench.errors import RequestError

GIVEN = "@given"


def with_given(names: Sequence[str], given: Sequence[str], suite: str) -> list[str]:
    """The names, each once, with the sets that were given in the place of `@given`.

    Raises RequestError for a suite about the user's own images if there are none.
    """
    if GIVEN in names and not given:
        raise RequestError(
            f"Suite '{suite}' is about images of your own. Say where they are: --data NAME=PLACE, "
            "under a name that no catalogued set has."
        )
    return list(dict.fromkeys(one for name in names for one in (given if name == GIVEN else (name,))))
