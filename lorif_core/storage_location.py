"""Where an index is stored, as people write it and as the catalog keeps it: never with anything secret."""

from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

from lorif_core.errors import ConfigError

OBJECT_STORES = {"s3": "Amazon S3 and what speaks like it", "gs": "Google Cloud", "az": "Azure", "memory": "tests"}
"""Schemes of locations in an object store, and what they stand for."""


def plain_location(text: str) -> str:
    """A location in one spelling: ``scheme://bucket/prefix``, or the whole path of a folder.

    Raises:
        ConfigError: It carries credentials, or is of a kind that we do not know.
    """
    if "://" not in text:
        return str(Path(text).expanduser().resolve())
    try:
        url = urlsplit(text.strip())
    except ValueError as error:
        raise ConfigError(
            f"a location is such as s3://bucket/prefix, and the one given is no URL ({error})."
        ) from error
    if "@" in url.netloc or url.query or url.fragment:
        shown = urlunsplit((url.scheme, url.netloc.rpartition("@")[2], url.path, "", ""))
        raise ConfigError(
            f"a location is scheme://bucket/prefix and nothing secret, this one has more than {shown!r}: leave out "
            "user, password and everything behind `?` or `#`, and put credentials into environment variables such as "
            "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY."
        )
    if url.scheme == "file" and not url.netloc and url.path.startswith("/"):
        return str(Path(url.path).resolve())
    if url.scheme not in OBJECT_STORES:
        known = ", ".join(f"{scheme}://" for scheme in OBJECT_STORES if scheme != "memory")
        raise ConfigError(f"an index is stored in a folder, or in one of {known}; got {url.scheme}://.")
    if not url.netloc:
        raise ConfigError(f"a location names a bucket, such as {url.scheme}://bucket/prefix, got {text!r}.")
    return f"{url.scheme}://{url.netloc}{url.path.rstrip('/')}"


def is_folder(location: str) -> bool:
    """Whether a location is a folder of this machine."""
    return "://" not in location
