"""An Outlook message that is attached to another, written as a mail, to be parsed as a file of its own."""

from __future__ import annotations

from email.header import Header
from email.mime.application import MIMEApplication
from email.mime.message import MIMEMessage
from email.mime.multipart import MIMEMultipart
from email.mime.text import MIMEText
from email.parser import BytesParser
from email.utils import formataddr

from tasks.parsing.mail_text import Headers


def rendered(headers: Headers, plain: str, html: str, files: list[tuple[str, bytes]]) -> bytes:
    """The bytes of a mail; the same for the same message."""
    boundary = "=_revector"
    while any(boundary.encode() in content for _, content in files):  # messages inside this one
        boundary += "_"
    mail = MIMEMultipart("mixed", boundary)
    mail["Subject"] = Header(headers.subject, "utf-8").encode()
    for name, people in headers.people.items():
        if people:
            mail[name] = ", ".join(formataddr(_safe(person)) for person in people)
    if headers.date:
        mail["Date"] = headers.date
    mail.attach(MIMEText(html, "html", "utf-8") if html else MIMEText(plain, "plain", "utf-8"))
    for name, content in files:
        mail.attach(_part(name, content))
    return mail.as_bytes()


def _safe(person: tuple[str, str]) -> tuple[str, str]:
    name, address = person
    return " ".join(name.split()), "".join(c for c in address if c.isascii() and c.isprintable())


def _part(name: str, content: bytes) -> MIMEApplication | MIMEMessage:
    if name.endswith(".eml"):
        return MIMEMessage(BytesParser().parsebytes(content))
    part = MIMEApplication(content)
    part.add_header("Content-Disposition", "attachment", filename=("utf-8", "", " ".join(name.split())))
    return part
