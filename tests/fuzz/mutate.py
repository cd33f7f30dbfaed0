"""Seeded mutations of text, bytes and plain data: what a careless or hostile hand makes of a good file."""

import json
from random import Random
from typing import Any

HUGE = 10**400
NUMBERS: tuple[Any, ...] = (
    0,
    1,
    -1,
    2,
    7,
    255,
    2**31,
    2**53,
    2**63,
    -(2**63),
    2**64,
    10**19,
    10**30,
    HUGE,
    0.0,
    -0.0,
    0.5,
    1e-9,
    5e-324,
    1e308,
    float("inf"),
    float("-inf"),
    float("nan"),
)
STRINGS = (
    "",
    " ",
    "0",
    "-1",
    "00000000000000000000001999",
    "9" * 400,
    "1e400",
    "nan",
    "3 GHz",
    "-3 GHz",
    "1e400 GHz",
    "936 GB/s",
    "0 B",
    "24 GiB",
    "../../etc/passwd",
    "/dev/zero",
    "a/b",
    "\0",
    "\x1b[31m",
    "\x9b",
    "\u202e",
    "\ud800",
    "=1+1",
    "@sum",
    "é",
    "x" * 5000,
    "rtx3090",
    "zen4",
    "avx512",
    "fp32",
    "run:latest",
    "host",
    "torch:os:abort",
    "hf:llama",
    "matmul:1x1x1",
    "matmul:99999999999x2x3",
    "2020-09",
    "cuda",
    "None",
    "true",
    "~",
    "!!python/object:os.system",
    "&a",
    "*a",
    "{",
    "[",
    "- -",
)


def scalar(random: Random) -> Any:
    """Return a number, a text or a constant that few programs expect."""
    choices = (NUMBERS, STRINGS, (None, True, False))
    return random.choice(random.choices(choices, weights=(5, 5, 1))[0])


def value(random: Random, depth: int = 0) -> Any:
    """Return a scalar or, less often, a list or a mapping of such values."""
    kind = random.random()
    if depth > 2 or kind < 0.8:
        return scalar(random)
    if kind < 0.9:
        return [value(random, depth + 1) for _ in range(random.randrange(4))]
    return {random.choice(STRINGS): value(random, depth + 1) for _ in range(random.randrange(3))}


def _places(data: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    places = [path] if path else []
    items = data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ()
    return places + [place for key, child in items for place in _places(child, (*path, key))]


def tree(random: Random, data: Any) -> Any:
    """Return a copy of plain data with one to three places replaced, removed, doubled or renamed."""
    fresh = json.loads(json.dumps(data))
    for _ in range(random.choice((1, 1, 1, 2, 3))):
        places = _places(fresh)
        if not places:
            return value(random)
        *path, last = random.choice(places)
        parent = fresh
        for key in path:
            parent = parent[key]
        action = random.random()
        if action < 0.65:
            parent[last] = _changed(random, parent[last])
        elif action < 0.8:
            del parent[last]
        elif isinstance(parent, list):
            parent.extend([parent[last]] * random.choice((1, 2, 50)))
        else:
            parent[random.choice((*STRINGS, *map(str, parent)))] = parent.pop(last)
    return fresh


def _changed(random: Random, old: Any) -> Any:
    if isinstance(old, (int, float)) and not isinstance(old, bool) and random.random() < 0.5:
        return random.choice((old + 1, -old, old * 1000, old * 10**18, old // 2 if old else 0, float(old % 2**99)))
    return value(random)


def content(random: Random, data: bytes) -> bytes:
    """Return bytes with something cut, flipped, doubled or put in."""
    fresh = bytearray(data)
    for _ in range(random.choice((1, 1, 2, 5))):
        at = random.randrange(len(fresh) + 1)
        action = random.randrange(6)
        if action == 0 and fresh:
            fresh[at % len(fresh)] ^= 1 << random.randrange(8)
        elif action == 1:
            del fresh[at : at + random.choice((1, 3, 30, 3000))]
        elif action == 2:
            fresh[at:at] = str(scalar(random)).encode(errors="surrogatepass")
        elif action == 3:
            fresh[at:at] = fresh[at : at + random.choice((10, 200))]
        elif action == 4:
            fresh[at:at] = bytes(random.randrange(256) for _ in range(random.choice((1, 4, 16))))
        else:
            lines = bytes(fresh).split(b"\n")
            random.shuffle(lines) if random.random() < 0.2 else lines.pop(random.randrange(len(lines)))
            fresh = bytearray(b"\n".join(lines))
    return bytes(fresh)


def as_json(data: Any) -> bytes:
    """Return data as JSON text, numbers beyond a float and NaN included."""
    return json.dumps(data).encode(errors="surrogatepass")
