"""`desali.explore`: the explorer in a notebook, by anywidget; the same view as the page, asked by messages."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from desali.errors import DesaliError
from desali.web.explorer.answer import Answer, of_error
from desali.web.explorer.opened import of_objects
from desali.web.explorer.session import Session
from desali.web.options import DRAWS
from desali.web.page import inlined

if TYPE_CHECKING:
    import torch


def explore(
    models: Any,
    images: Any = None,
    lineage: Any = None,
    *,
    device: str | torch.device | None = None,
    seed: int = 1,
    random_networks: int = DRAWS,
    state: str = "",
) -> Any:
    """Models and images in a notebook: click a neuron and see its reconstruction in every model, beside its control.

    Args:
        models: name -> a `torch.nn.Module` in evaluation mode, or what `desali.load` returns; or one of them.
        images: an `ImageSet`; a float tensor [N, C, H, W] as the networks take it; or a list of what `desali.show`
            takes as an image. None: they are dropped into the page.
        lineage: what `desali.lineage` returned of two of the models, or its record.
        device: "cpu", "cuda", "cuda:N" or "auto"; None: where the models are.
        seed: of the first network with random weights; the next one is of one more.
        random_networks: networks with random weights behind each likeness; the first is shown. From 1 to 8.
        state: the fragment of an explorer's address, to begin with that view.

    Returns:
        A widget; its `state` is the view that is shown.

    Raises:
        DesaliError: anywidget is missing (`pip install 'desali[widget]'`), training mode, several devices.
        DataError: no models, or images of another type. ImageError: an array that is no image.
    """
    try:
        import anywidget
        import traitlets
    except ImportError as error:
        raise DesaliError(f"the explorer in a notebook needs {error.name}: pip install 'desali[widget]'") from None
    given = models if isinstance(models, Mapping) else {"model": models}
    session = of_objects(given, images, lineage, device=device, random_seed=seed, draws=random_networks)
    view = inlined("widget.js", "view.css", "explore.css")

    class Explorer(anywidget.AnyWidget):
        """The explorer as a widget."""

        _esm = str(view["script"])
        styles = traitlets.Unicode(str(view["styles"])).tag(sync=True)
        state = traitlets.Unicode("").tag(sync=True)

    made = Explorer(state=state)
    made.on_msg(lambda widget, content, buffers: widget.send(*reply(session, content, buffers)))
    threading.Thread(target=session.warm, name="desali-warm").start()
    return made


def reply(session: Session, content: Any, buffers: Any) -> tuple[dict[str, Any], list[bytes]]:
    """The message that answers one of the view: what it asked, as a page would by HTTP."""
    number = content.get("ask") if isinstance(content, Mapping) else None
    try:
        params = {str(name): str(value) for name, value in dict(content["params"]).items()}
        body = bytes(buffers[0]) if content.get("body") and buffers else None
        answer: Answer = session.answer(str(content["what"]), params, body)
    except (KeyError, TypeError, ValueError) as error:
        answer = of_error(DesaliError(f"a message that is none of the view's ({type(error).__name__})"))
    return {"answer": number, "status": answer.status, "kind": answer.kind}, [answer.body]
