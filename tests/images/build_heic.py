"""Write the HEIC files of `fixtures`.

Not run by the tests: it needs `pillow-heif`, which can encode and is no dependency. With a folder of scratch:
`pip install --no-deps --target SCRATCH pillow-heif`, then
`PYTHONPATH=SCRATCH:. python -m tests.images.build_heic`.
"""

from __future__ import annotations

import pillow_heif
from PIL import Image

from tests.images.source import FIXTURES, quarters, transparent


def main() -> None:
    pillow_heif.register_heif_opener()
    quarters().save(FIXTURES / "plain.heic", quality=95, chroma=444)
    exif = Image.Exif()
    exif[0x0112] = 6
    turned = quarters().transpose(Image.Transpose.ROTATE_90)
    turned.save(FIXTURES / "turned.heic", quality=95, chroma=444, exif=exif.tobytes())
    transparent("RGBA").save(FIXTURES / "clear.heic", quality=95, chroma=444)
    black = Image.new("RGB", (64, 48))
    black.save(
        FIXTURES / "second.heic",
        quality=95,
        chroma=444,
        save_all=True,
        append_images=[quarters()],
        primary_index=1,
    )


if __name__ == "__main__":
    main()
