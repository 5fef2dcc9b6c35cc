"""Object code on disk: a folder of files named by their keys, bounded in size, safe to share.

A key is the hash of everything that decides the bytes; `load` and `store` are the whole use. A
damaged file is removed and counts as missing; a folder that cannot be written keeps nothing.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

MAGIC = b"adgraph object 1\n"
SUFFIX = ".adg"
DEFAULT_LIMIT = 512 * 1024 * 1024
TRIM_EVERY = 64
_stores = 0


@dataclass(frozen=True)
class CacheInfo:
    """How much a cache folder holds."""

    folder: Path
    count: int
    bytes: int


def folder() -> Path:
    """Return the cache folder: $ADGRAPH_CACHE_DIR, $XDG_CACHE_HOME/adgraph or ~/.cache/adgraph."""
    if chosen := os.environ.get("ADGRAPH_CACHE_DIR"):
        return Path(chosen)
    if parent := os.environ.get("XDG_CACHE_HOME"):
        return Path(parent) / "adgraph"
    return Path("~").expanduser() / ".cache" / "adgraph"


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
    path = _path(name)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
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
    """Return the number of cached files and their bytes."""
    entries = _entries()
    return CacheInfo(folder(), len(entries), sum(size for _, _, size in entries))


def limit() -> int:
    """Return the most bytes to keep: $ADGRAPH_CACHE_BYTES or 512 MB."""
    return int(os.environ.get("ADGRAPH_CACHE_BYTES", DEFAULT_LIMIT))


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
    descriptor, temporary = tempfile.mkstemp(prefix=".writing-", dir=path.parent)
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
        paths = [*folder().glob("*" + SUFFIX), *folder().glob(".writing-*")]
    except OSError:
        return []
    for path in paths:
        try:
            status = path.stat()
        except OSError:
            continue
        found.append((path, status.st_mtime, status.st_size))
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
