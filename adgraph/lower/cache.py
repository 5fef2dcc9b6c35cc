"""Object code on disk: a folder of files named by their keys, bounded in size, safe to share.

A key is the hash of everything that decides the bytes; `load` and `store` are the whole use. A
damaged file is removed and counts as missing; a folder that cannot be written keeps nothing. One
file holds one kernel: reading it (50 us, measured) costs less than linking it.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from adgraph.errors import AdgraphError
from adgraph.schedule.budget import parse_bytes

MAGIC = b"adgraph object 1\n"
SUFFIX = ".adg"
WRITING = ".writing-"  # how the names of files begin that are not complete yet
DEFAULT_LIMIT = 512_000_000
TRIM_EVERY = 64
_stores = 0


@dataclass(frozen=True)
class CacheInfo:
    """What a cache folder holds; ages are seconds since the last use, 0 of an empty folder."""

    folder: Path
    count: int
    bytes: int
    youngest: float
    oldest: float


def folder() -> Path:
    """Return the cache folder: $ADGRAPH_CACHE_DIR, $XDG_CACHE_HOME/adgraph or ~/.cache/adgraph.

    A user without a home gets a folder that cannot be made: code that others could replace, as in
    a shared folder for temporary files, must not be run.
    """
    if chosen := os.environ.get("ADGRAPH_CACHE_DIR"):
        return Path(chosen)
    if parent := os.environ.get("XDG_CACHE_HOME"):
        return Path(parent) / "adgraph"
    try:
        home = Path.home()
    except RuntimeError:
        home = Path(os.devnull)
    return home / ".cache" / "adgraph"


def key(*parts: str) -> str:
    """Return the key of a file which is decided by `parts`.

    >>> key("a", "bc") == key("ab", "c")
    False
    """
    digest = hashlib.sha256()
    for part in parts:
        data = part.encode()
        digest.update(len(data).to_bytes(8, "little") + data)
    return digest.hexdigest()


def load(name: str) -> bytes | None:
    """Return the data stored under a key, or None; a damaged file is removed."""
    path = _path(name)
    try:
        content = path.read_bytes()
    except OSError:
        return None
    data = _open_envelope(content)
    if data is None:
        _remove(path)
        return None
    _touch(path)
    return data


def store(name: str, data: bytes) -> None:
    """Store data under a key, atomically; do nothing where the folder cannot be written."""
    global _stores
    if not limit():
        return
    path = _path(name)
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        _replace(path, _envelope(data))
    except OSError:
        return
    _stores += 1
    if _stores % TRIM_EVERY == 1:
        trim()


def clear() -> None:
    """Remove every cached file."""
    for path, _, _ in _entries():
        _remove(path)


def info() -> CacheInfo:
    """Return the number of cached files, their bytes and their ages."""
    entries = _entries()
    total = sum(size for _, _, size in entries)
    ages = [time.time() - used for _, used, _ in entries] or [0.0]
    return CacheInfo(folder(), len(entries), total, max(min(ages), 0.0), max(ages))


def limit() -> int:
    """Return the most bytes to keep: $ADGRAPH_CACHE_BYTES, such as "1GB", or 512 MB."""
    given = os.environ.get("ADGRAPH_CACHE_BYTES")
    if given is None:
        return DEFAULT_LIMIT
    try:
        return parse_bytes(given)
    except ValueError:
        raise AdgraphError(
            f"the environment variable ADGRAPH_CACHE_BYTES is {given!r}\n"
            "  why: it bounds the bytes of compiled kernels that are kept on disk\n"
            '  instead: a number of bytes, or text such as "512MB"; 0 keeps nothing'
        ) from None


def trim() -> None:
    """Remove the files unused for longest until the folder is below 7/8 of its limit."""
    entries = sorted(_entries(), key=lambda entry: entry[1])
    total = sum(size for _, _, size in entries)
    if total <= limit():
        return
    for path, _, size in entries:
        if total <= limit() * 7 // 8:
            return
        _remove(path)
        total -= size


def _path(name: str) -> Path:
    return folder() / (name + SUFFIX)


def _envelope(data: bytes) -> bytes:
    return MAGIC + hashlib.sha256(data).digest() + len(data).to_bytes(8, "little") + data


def _open_envelope(content: bytes) -> bytes | None:
    start = len(MAGIC)
    digest = content[start : start + 32]
    size = int.from_bytes(content[start + 32 : start + 40], "little")
    data = content[start + 40 :]
    whole = content.startswith(MAGIC) and size == len(data)
    return data if whole and hashlib.sha256(data).digest() == digest else None


def _replace(path: Path, content: bytes) -> None:
    """Write beside the target and rename, so that no reader sees half a file."""
    descriptor, temporary = tempfile.mkstemp(prefix=WRITING, dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
        Path(temporary).replace(path)
    except OSError:
        _remove(Path(temporary))
        raise


def _entries() -> list[tuple[Path, float, int]]:
    """Return path, time of last use and size of every file, those half written included."""
    found = []
    try:
        with os.scandir(folder()) as listed:
            files = [x for x in listed if x.name.endswith(SUFFIX) or x.name.startswith(WRITING)]
    except OSError:
        return []
    for file in files:
        try:
            status = file.stat()
        except OSError:  # another process has removed it
            continue
        found.append((Path(file.path), status.st_mtime, status.st_size))
    return found


def _remove(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except OSError:
        return


def _touch(path: Path) -> None:
    """Mark the file as used now (access times are often switched off)."""
    try:
        os.utime(path)
    except OSError:
        return
