"""Format headers: the name and version at the head of every JSON document that we write."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from data_prep.errors import InputError


@dataclass(frozen=True)
class FileFormat:
    """Name and version of a file format.

    Attributes:
        name: for example ``clip2-triplets``; stored under the key ``format``.
        version: the only version that this release reads and writes.
        version_key: key of the version in the document.

    >>> FileFormat("clip2-triplets", 1).header
    {'format': 'clip2-triplets', 'version': 1}
    """

    name: str
    version: int
    version_key: str = "version"

    @property
    def header(self) -> dict[str, Any]:
        """The two entries that a document begins with."""
        return {"format": self.name, self.version_key: self.version}

    def require(
        self,
        document: object,
        source: str | Path,
        *,
        fix: str = "give a file of this format",
        error: type[InputError] = InputError,
    ) -> None:
        """Check the header of a document.

        Args:
            document: what a JSON reader returned.
            source: file it was read from.
            fix: advice for a document of another format or an older version.
            error: kind of error to raise.

        Raises:
            InputError: no JSON object, another format, or another version; a newer version advises to upgrade.

        >>> FileFormat("clip2-triplets", 1).require({"format": "clip2-triplets", "version": 2}, "manifest.json")
        Traceback (most recent call last):
        data_prep.errors.InputError: manifest.json: version: is 2, this release reads 1. Fix: upgrade clip2
        """
        if not isinstance(document, Mapping) or document.get("format") != self.name:
            raise error(f"is not a {self.name} file", source=source, field="format", fix=fix)
        found = document.get(self.version_key)
        if found == self.version:
            return
        newer = isinstance(found, int) and found > self.version
        raise error(
            f"is {found!r}, this release reads {self.version}",
            source=source,
            field=self.version_key,
            fix="upgrade clip2" if newer else fix,
        )
