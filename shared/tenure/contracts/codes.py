"""What may stand in an event where somebody could have written freely: a code, which names a thing and says nothing of a person."""

import re
from typing import Final

CODE_CHARS_MAX: Final = 64
_CODE: Final = re.compile(rf"[A-Za-z0-9][A-Za-z0-9._:/#-]{{0,{CODE_CHARS_MAX - 1}}}", re.ASCII)


def is_code(text: str) -> bool:
    """Whether it is one word of letters, digits and `. _ : / # -`: a work order, a receipt, a reason's short name."""
    return _CODE.fullmatch(text) is not None
