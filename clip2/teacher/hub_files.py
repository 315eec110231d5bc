"""Files on huggingface.co: what is in the hub's cache, what a download would cost, and the download."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from data_prep.errors import InputError


@dataclass(frozen=True)
class HubFile:
    """A file of a repository on huggingface.co.

    Attributes:
        repository: ``org/name``.
        file: its path there.
        kind: ``model`` or ``dataset``.
        revision: branch, tag or commit.
    """

    repository: str
    file: str
    kind: str = "model"
    revision: str = "main"

    @property
    def url(self) -> str:
        """Page of the repository."""
        return f"https://huggingface.co/{'datasets/' if self.kind == 'dataset' else ''}{self.repository}"

    def cached(self) -> Path | None:
        """The file in the hub's cache of this machine; no request is sent."""
        from huggingface_hub import hf_hub_download
        from huggingface_hub.errors import EntryNotFoundError, HFValidationError

        try:
            return Path(
                hf_hub_download(
                    self.repository,
                    self.file,
                    repo_type=self.kind,
                    revision=self.revision,
                    local_files_only=True,
                )
            )
        except (EntryNotFoundError, HFValidationError):
            return None

    def look_up(self) -> tuple[int | None, str | None]:
        """Size in bytes and commit, in one request without retries.

        Raises:
            OSError: no network, no such file, or no permission.
        """
        from huggingface_hub import get_hf_file_metadata, hf_hub_url

        with _as_os_errors():
            url = hf_hub_url(self.repository, self.file, repo_type=self.kind, revision=self.revision)
            found = get_hf_file_metadata(url)
        return found.size, found.commit_hash

    def download(self) -> Path:
        """The file, with progress; an interrupted download continues.

        Raises:
            OSError: as in :meth:`look_up`, or the download was cut short.
        """
        from huggingface_hub import hf_hub_download

        with _as_os_errors():
            return Path(
                hf_hub_download(self.repository, self.file, repo_type=self.kind, revision=self.revision)
            )


def hub_cache() -> Path:
    """The hub's cache of this machine; it may not exist yet."""
    from huggingface_hub import constants

    return Path(constants.HF_HUB_CACHE)


def not_fetched(what: str, error: Exception, fix: str) -> InputError:
    """The one line for a file that cannot be had.

    >>> print(not_fetched("uni3d-ti", OSError("no route\\nto host"), "go online once"))
    uni3d-ti: is not on this machine and cannot be downloaded (no route). Fix: go online once
    """
    reason = (str(error).strip() or type(error).__name__).splitlines()[0]
    return InputError(f"is not on this machine and cannot be downloaded ({reason})", source=what, fix=fix)


@contextmanager
def _as_os_errors() -> Iterator[None]:
    from huggingface_hub.errors import HFValidationError, HTTPError  # the last where no answer came

    try:
        yield
    except (HFValidationError, HTTPError) as error:
        if isinstance(error, OSError):
            raise
        raise OSError(str(error)) from error
