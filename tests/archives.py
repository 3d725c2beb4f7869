"""Archives and mails for tests."""

from __future__ import annotations

import io
import tarfile
import zipfile
from collections.abc import Mapping
from email.message import EmailMessage

STAMP = (2026, 4, 17, 12, 0, 0)


def zipped(files: Mapping[str, bytes | str], *, method: int = zipfile.ZIP_DEFLATED) -> bytes:
    """A zip; names may be anything."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as archive:
        for name, data in files.items():
            archive.writestr(zipfile.ZipInfo(name, STAMP), data, method)
    return out.getvalue()


def tarred(files: Mapping[str, bytes | str], mode: str = "w:gz") -> bytes:
    """A tar, compressed by `mode`."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode=mode) as archive:  # type: ignore[call-overload]
        for name, data in files.items():
            body = data.encode() if isinstance(data, str) else data
            info = tarfile.TarInfo(name)
            info.size = len(body)
            archive.addfile(info, io.BytesIO(body))
    return out.getvalue()


def mail(text: str, attachments: Mapping[str, bytes | str], subject: str = "A parcel of files") -> bytes:
    """A mail with attachments."""
    message = EmailMessage()
    message["Subject"] = subject
    message["From"] = "Ada Byrne <ada@example.com>"
    message["To"] = "team@example.com"
    message["Date"] = "Fri, 17 Apr 2026 14:30:00 +0900"
    message["MIME-Version"] = "1.0"
    message.set_content(text)
    for name, data in attachments.items():
        body = data.encode() if isinstance(data, str) else data
        message.add_attachment(body, maintype="application", subtype="octet-stream", filename=name)
    return bytes(message)
