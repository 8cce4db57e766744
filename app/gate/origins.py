"""Which names a browser may use for the studio, and which pages may talk to it. Compared as text, never looked up."""

from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import SplitResult, urlsplit

DEFAULT_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True)
class Origins:
    """The names that `lorif app` was given: the address it listens on, and those of ``--allow-host``.

    A page of another site may name the studio's address in a link or a form, or point a name of its own at it
    (DNS rebinding). Both show in the headers Host and Origin, which its scripts cannot set.
    """

    own: tuple[str, ...]
    """Names of the address."""

    further: tuple[str, ...] = ()
    """Names that were given beside it, each with a port where another one than the usual is meant."""

    @classmethod
    def of(cls, host: str, allow_host: Sequence[str] = ()) -> "Origins":
        """The origins of a studio that listens on ``host`` and has further names."""
        own = ("localhost", "127.0.0.1", "[::1]", f"[{host}]" if ":" in host else host)
        return cls(own, tuple(name.strip() for name in allow_host))

    def knows_host(self, host: str | None) -> bool:
        """Whether a Host header names the studio: at any port, as a tunnel or a container may have another one."""
        parts = _split(f"http://{host}") if host else None
        if parts is None or parts.netloc != host:
            return False
        return _name(parts) in {_name(one) for name in (*self.own, *self.further) if (one := _split(f"//{name}"))}

    def is_own(self, origin: str | None, host: str | None) -> bool:
        """Whether a page of ``origin`` is the studio itself: that of the Host header, or one of the further names.

        A name without a port stands for the usual port only: what listens on another port is another program.
        A request without an Origin is nobody's own; browsers send one wherever this is asked.
        """
        page = _split(origin) if origin else None
        if page is None or page.scheme not in DEFAULT_PORTS or f"{page.scheme}://{page.netloc}" != origin:
            return False
        if self.knows_host(host) and page.netloc.lower() == str(host).lower():
            return True
        usual = DEFAULT_PORTS[page.scheme]
        known = {(_name(one), one.port or usual) for name in self.further if (one := _split(f"//{name}"))}
        return (_name(page), page.port or usual) in known


def _split(url: str) -> SplitResult | None:
    """The parts of an address; None for one that has no host, a sign-in before it, or a port that is none."""
    try:
        parts = urlsplit(url)
        return parts if parts.hostname and "@" not in parts.netloc and parts.port != 0 else None
    except ValueError:
        return None


def _name(parts: SplitResult) -> str:
    return (parts.hostname or "").rstrip(".")
