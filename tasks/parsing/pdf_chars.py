"""Single characters of a PDF page: place, type size and origin, by their index in the page's text."""

from __future__ import annotations

import ctypes
import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pypdfium2

Box = tuple[float, float, float, float]
"""Left, bottom, right, top in points, y upward."""


def box(textpage: pypdfium2.PdfTextPage, index: int) -> Box:
    """From the origin to the advance; how high it is depends on the font."""
    from pypdfium2 import raw

    found = raw.FS_RECTF()
    raw.FPDFText_GetLooseCharBox(textpage.raw, _char(textpage, index), ctypes.byref(found))
    return found.left, found.bottom, found.right, found.top


def size(textpage: pypdfium2.PdfTextPage, index: int) -> float:
    """Type size on the page: the font's size as scaled by the text matrix; 0 where unknown."""
    from pypdfium2 import raw

    char = _char(textpage, index)
    matrix = raw.FS_MATRIX()
    if not raw.FPDFText_GetMatrix(textpage.raw, char, ctypes.byref(matrix)):
        return 0.0
    font: float = raw.FPDFText_GetFontSize(textpage.raw, char)
    return font * math.hypot(matrix.c, matrix.d)


def baseline(textpage: pypdfium2.PdfTextPage, index: int) -> float | None:
    """Height of the line that the character stands on; None where it is turned."""
    from pypdfium2 import raw

    char = _char(textpage, index)
    matrix = raw.FS_MATRIX()
    if not raw.FPDFText_GetMatrix(textpage.raw, char, ctypes.byref(matrix)):
        return None
    if matrix.d <= 0 or abs(matrix.b) > 0.01 * matrix.d:
        return None
    x, y = ctypes.c_double(), ctypes.c_double()
    found = raw.FPDFText_GetCharOrigin(textpage.raw, char, ctypes.byref(x), ctypes.byref(y))
    return y.value if found else None


def is_generated(textpage: pypdfium2.PdfTextPage, index: int) -> bool:
    """Whether PDFium put the character in where the file only has a gap."""
    from pypdfium2 import raw

    return int(raw.FPDFText_IsGenerated(textpage.raw, _char(textpage, index))) == 1


def _char(textpage: pypdfium2.PdfTextPage, index: int) -> int:
    from pypdfium2 import raw

    return max(int(raw.FPDFText_GetCharIndexFromTextIndex(textpage.raw, index)), 0)
