"""Takes mails, as a server of a provider does: STARTTLS first, then AUTH, then mails into a Maildir.

    sink.py DIRECTORY PORT

Writes DIRECTORY/ca.pem, which has signed its certificate, and DIRECTORY/mails. It knows the user "shop" with the password
"s3cret". It has no room for whoever is called busy, and does not know whoever is called nobody.
"""

import signal
import ssl
import sys
from pathlib import Path

import trustme
from aiosmtpd.controller import Controller
from aiosmtpd.handlers import Mailbox
from aiosmtpd.smtp import AuthResult

ANSWERS = {"busy": "451 4.3.0 Try again later", "nobody": "550 5.1.1 No such user"}


class Sink(Mailbox):
    async def handle_RCPT(self, server, session, envelope, address, options):
        name = address.partition("@")[0]
        if name in ANSWERS:
            return ANSWERS[name]
        envelope.rcpt_tos.append(address)
        return "250 OK"


def authenticate(server, session, envelope, mechanism, data):
    return AuthResult(success=(data.login, data.password) == (b"shop", b"s3cret"), handled=False)


def main():
    directory, port = Path(sys.argv[1]), int(sys.argv[2])
    authority_file = directory / "ca.pem"
    key_file = directory / "server.pem"
    if not key_file.exists():
        authority = trustme.CA()
        authority.cert_pem.write_to_path(authority_file)
        authority.issue_cert("localhost").private_key_and_cert_chain_pem.write_to_path(key_file)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(key_file)
    controller = Controller(
        Sink(directory / "mails"),
        hostname="127.0.0.1",
        port=port,
        tls_context=context,
        require_starttls=True,
        auth_required=True,
        authenticator=authenticate,
    )
    controller.start()
    signal.sigwait({signal.SIGTERM, signal.SIGINT})
    controller.stop()


main()
