"""Object stores by obstore, the only file that imports it: S3, Google Cloud, Azure, and one in memory.

Credentials, endpoint and region come from the environment, as obstore reads them (AWS_ACCESS_KEY_ID, AWS_ENDPOINT_URL
and so on); none is kept or said. It asks again by itself where a server is busy or a connection breaks, and
``ObjectPlace`` asks again where that did not help.
"""

import os
import re
from collections.abc import Generator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

from lorif_core.errors import ConfigError, ResourceError
from lorif_core.store.object_place import Got, Unanswered
from lorif_core.store.place import Listed

PATIENCE = {
    "max_retries": 3,
    "retry_timeout": timedelta(seconds=60),
    "backoff": {"init_backoff": timedelta(milliseconds=100), "max_backoff": timedelta(seconds=5), "base": 2},
}
"""Of obstore within one attempt."""

REQUEST_S = 120
"""How long one request may take; a part has about 32 MB."""

CONNECT_S = 10

LONGEST_REASON = 300


class ObstoreObjects:
    """The objects below a location."""

    def __init__(self, storage: str) -> None:
        """Open a client; nothing is asked of the store yet.

        Raises:
            ConfigError: The package is not installed, or the environment does not suffice.
        """
        self._storage = storage
        self._obstore, errors = _obstore()
        self._errors = errors
        try:
            self._store = self._open()
        except errors.BaseError as error:
            raise ConfigError(f"{storage!r} cannot be opened ({_reason(error)}). {_FROM_ENVIRONMENT}") from error

    def _open(self) -> Any:
        from obstore.store import MemoryStore, from_url

        if self._storage.startswith("memory://"):
            return MemoryStore()
        options: Any = {"timeout": timedelta(seconds=REQUEST_S), "connect_timeout": timedelta(seconds=CONNECT_S)}
        if os.environ.get("AWS_ALLOW_HTTP", "").lower() in ("1", "true"):  # not read where there are other options
            options["allow_http"] = True
        patience: Any = PATIENCE
        return from_url(self._storage, client_options=options, retry_config=patience)

    def get(self, path: str) -> Got:
        """A whole object."""
        with self._plain_errors():
            result = self._obstore.get(self._store, path)
            size = result.meta["size"]
            return Got(bytes(result.bytes()), size)

    def get_range(self, path: str, start: int, stop: int) -> bytes:
        """Some bytes of an object."""
        with self._plain_errors():
            return bytes(self._obstore.get_range(self._store, path, start=start, end=stop))

    def put_new(self, path: str, content: bytes) -> bool:
        """Put an object unless there is one."""
        with self._plain_errors():
            try:
                self._obstore.put(self._store, path, content, mode="create", use_multipart=False)
                return True
            except self._errors.AlreadyExistsError:
                return False

    def put(self, path: str, content: bytes) -> None:
        """Put an object."""
        with self._plain_errors():
            self._obstore.put(self._store, path, content, use_multipart=False)

    def listed(self, prefix: str) -> dict[str, Listed]:
        """Every object below a prefix."""
        with self._plain_errors():
            return {
                one["path"]: Listed(one["size"], one["last_modified"].timestamp())
                for some in self._obstore.list(self._store, prefix)
                for one in some
            }

    def has(self, path: str) -> bool:
        """Whether there is an object."""
        try:
            with self._plain_errors():
                self._obstore.head(self._store, path)
                return True
        except FileNotFoundError:
            return False

    def delete(self, path: str) -> None:
        """Delete an object if it is there."""
        try:
            with self._plain_errors():
                self._obstore.delete(self._store, path)
        except FileNotFoundError:
            pass

    @contextmanager
    def _plain_errors(self) -> Generator[None]:
        errors = self._errors
        try:
            yield
        except (FileNotFoundError, errors.NotFoundError) as error:
            if "NoSuchBucket" in str(error) or "BucketNotFound" in str(error):
                raise ConfigError(
                    f"{self._storage!r} is in a bucket that is not there: make it first, or correct the name."
                ) from error
            raise FileNotFoundError(_reason(error)) from error
        except (PermissionError, errors.PermissionDeniedError, errors.UnauthenticatedError) as error:
            raise ConfigError(
                f"{self._storage!r} may not be read or written with the credentials of this environment "
                f"({_reason(error)}). {_FROM_ENVIRONMENT}"
            ) from error
        except (NotImplementedError, errors.NotSupportedError) as error:
            raise ResourceError(
                f"{self._storage!r} cannot create an object only where none is ({_reason(error)}), which an index "
                "needs: use a store that can, such as S3, Google Cloud, Azure or MinIO."
            ) from error
        except (errors.BaseError, OSError) as error:
            if any(one in str(error) for one in _ASKED_FOR_CREDENTIALS):
                raise ConfigError(
                    f"{self._storage!r} needs credentials, and there are none. {_FROM_ENVIRONMENT}"
                ) from error
            raise Unanswered(_reason(error)) from error


_ASKED_FOR_CREDENTIALS = ("169.254.169.254", "169.254.170.2", "metadata.google.internal")
"""Where a machine of a cloud is told its own credentials: asked where the environment has none."""

_FROM_ENVIRONMENT = (
    "Credentials come from the environment: for S3 set AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_REGION, and "
    "AWS_ENDPOINT_URL for a server of your own."
)


def _reason(error: BaseException) -> str:
    """The first line of what the library says, without what a URL carries behind `?`."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return re.sub(r"\?[^\s)'\"]*", "", lines[0].partition(": <")[0])[:LONGEST_REASON].rstrip(". ")


def _obstore() -> tuple[Any, Any]:
    try:
        import obstore
        import obstore.exceptions
    except ImportError as error:
        raise ConfigError(
            "an index in an object store needs the package obstore, which is not installed: run "
            "`pip install 'lorif-studio[storage]'`, or keep indexes in the workspace."
        ) from error
    return obstore, obstore.exceptions
