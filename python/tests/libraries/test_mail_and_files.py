"""smtplib and ftplib, in the clear and in TLS."""

from __future__ import annotations

import contextlib
import ftplib
import io
import smtplib
from collections.abc import Iterator
from email.message import EmailMessage

import pytest
from conftest import DEADLINE

from libraries.conftest import DATA, SERVER, Trust, World
from libraries.servers import Files, Mail, Talk, Threads


@contextlib.contextmanager
def served(world: World, trust: Trust, handler: type[Talk], at_once: bool = False) -> Iterator[Threads]:
    """A small server on the server's host, and the libraries are on the client's."""
    with world.server.patch():
        server = Threads((world.address, 0), handler)
    server.make = world.server.socket
    server.context, server.at_once = trust.server, at_once
    with world.serving(server), world.client.patch():
        yield server


def letter() -> EmailMessage:
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = "one@example.com", "two@example.com", "Things"
    message.set_content("Dear,\n.dots at the beginning\n")
    message.add_attachment(DATA, maintype="application", subtype="octet-stream")
    return message


@pytest.mark.library("smtplib")
@pytest.mark.parametrize("how", ["clear", "starttls", "tls"])
def test_smtplib(world: World, trust: Trust, how: str) -> None:
    with served(world, trust, Mail, how == "tls") as server:
        port = server.server_address[1]
        mail: smtplib.SMTP
        if how == "tls":
            mail = smtplib.SMTP_SSL(SERVER, port, "client", timeout=DEADLINE, context=trust.client)
        else:
            mail = smtplib.SMTP(SERVER, port, "client", timeout=DEADLINE)
        with mail:
            if how == "starttls":
                assert mail.starttls(context=trust.client)[0] == 220
            if how != "clear":
                mail.login("user", "secret")
            assert mail.send_message(letter()) == {}
            with pytest.raises(smtplib.SMTPRecipientsRefused):
                mail.sendmail("one@example.com", ["nobody@example.com"], "Lost")
        sender, receivers, text = server.store[len(server.store) - 1]
        assert "one@example.com" in sender and "two@example.com" in receivers[0]
        assert text.replace(b"\r\n", b"\n") == letter_like(text)
        with pytest.raises(ConnectionRefusedError):
            smtplib.SMTP(SERVER, 9, "client", timeout=DEADLINE)


def letter_like(text: bytes) -> bytes:
    """The letter, with the boundary that the one that came has."""
    message = letter()
    message.set_boundary(text.split(b'boundary="')[1].split(b'"')[0].decode())
    return message.as_bytes()


@pytest.mark.library("ftplib")
@pytest.mark.parametrize("passive", [True, False], ids=["passive", "active"])
@pytest.mark.parametrize("tls", [False, True], ids=["clear", "tls"])
def test_ftplib(world: World, trust: Trust, passive: bool, tls: bool) -> None:
    with served(world, trust, Files) as server:
        ftp = ftplib.FTP_TLS(timeout=DEADLINE, context=trust.client) if tls else ftplib.FTP(timeout=DEADLINE)
        with ftp:
            ftp.connect(SERVER, server.server_address[1])
            ftp.set_pasv(passive)
            ftp.login("user", "secret")
            if isinstance(ftp, ftplib.FTP_TLS):
                ftp.prot_p()
            ftp.storbinary("STOR data", io.BytesIO(DATA))
            assert server.store["data"] == DATA
            got = io.BytesIO()
            ftp.retrbinary("RETR data", got.write)
            assert got.getvalue() == DATA
            ftp.storlines("STOR text", io.BytesIO(b"one\ntwo\n"))
            lines: list[str] = []
            ftp.retrlines("RETR text", lines.append)
            assert lines == ["one", "two"]
            assert ftp.nlst() == ["data", "text"]
            assert ftp.size("data") == len(DATA)
            with pytest.raises(ftplib.error_perm, match="no such file"):
                ftp.retrbinary("RETR nothing", got.write)
            if isinstance(ftp, ftplib.FTP_TLS):
                ftp.ccc()
                assert ftp.voidcmd("NOOP").startswith("200")


@pytest.mark.library("smtplib", "ftplib")
def test_a_client_that_gives_up(world: World) -> None:
    """A server that takes connections and says nothing."""
    with world.listener() as listener, world.client.patch():
        port = listener.getsockname()[1]
        with pytest.raises(smtplib.SMTPServerDisconnected, match="timed out"):
            smtplib.SMTP(SERVER, port, "client", timeout=world.patience)
        with ftplib.FTP(timeout=world.patience) as ftp, pytest.raises(TimeoutError):
            ftp.connect(SERVER, port)
