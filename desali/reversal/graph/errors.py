"""What capturing a module can raise."""

from __future__ import annotations

from desali.errors import DesaliError


class CaptureError(DesaliError):
    """The module could not be captured, or what was captured does not compute what the module computes."""
