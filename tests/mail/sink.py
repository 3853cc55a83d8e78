"""A mail server (aiosmtpd) that wants STARTTLS and AUTH and writes each mail it takes into a folder.

sink.py FOLDER PORT: makes a certificate for localhost and a DKIM key there, then serves until it is ended.
"""
import datetime, email, hashlib, json, pathlib, ssl, sys, threading

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID
import base64

folder, port = pathlib.Path(sys.argv[1]), int(sys.argv[2])


def pem(key):
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())


def certificate(key):
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.timezone.utc)
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    builder = builder.serial_number(x509.random_serial_number())
    builder = builder.not_valid_before(now - datetime.timedelta(days=1)).not_valid_after(now + datetime.timedelta(days=1))
    return builder.add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), False).sign(key, hashes.SHA256())


tls_key, dkim_key = (rsa.generate_private_key(public_exponent=65537, key_size=2048) for _ in range(2))
(folder / "key.pem").write_bytes(pem(tls_key))
(folder / "cert.pem").write_bytes(certificate(tls_key).public_bytes(serialization.Encoding.PEM))
(folder / "dkim.pem").write_bytes(pem(dkim_key))
public = dkim_key.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
(folder / "dkim.txt").write_text("v=DKIM1; k=rsa; p=" + base64.b64encode(public).decode())


class Sink:
    taken = 0

    async def handle_RCPT(self, server, session, envelope, address, options):
        if address.startswith("refused@"):
            return "550 5.1.1 no such user here"
        envelope.rcpt_tos.append(address)
        return "250 2.1.5 ok"

    async def handle_DATA(self, server, session, envelope):
        if envelope.rcpt_tos[0].startswith("silent@"):
            server.transport.abort()
            return "250 never heard"
        mail = email.message_from_bytes(envelope.content)
        files = [
            {"name": part.get_filename(), "type": part.get_content_type(), "sha256": hashlib.sha256(part.get_payload(decode=True)).hexdigest()}
            for part in mail.walk()
            if part.get_filename()
        ]
        about = {"from": envelope.mail_from, "to": envelope.rcpt_tos, "tls": session.ssl is not None, "user": session.auth_data, "files": files}
        (folder / f"{Sink.taken:03}.eml").write_bytes(envelope.content)
        (folder / f"{Sink.taken:03}.json").write_text(json.dumps(about))
        Sink.taken += 1
        return "250 2.0.0 taken"


def authenticate(server, session, envelope, mechanism, data):
    right = data.login == b"acme" and data.password == b"fake-password"
    return AuthResult(success=right, auth_data="acme") if right else AuthResult(success=False, handled=False)


context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
context.load_cert_chain(folder / "cert.pem", folder / "key.pem")
controller = Controller(
    Sink(), hostname="localhost", port=port, tls_context=context, require_starttls=True, auth_required=True,
    auth_require_tls=True, authenticator=authenticate, enable_SMTPUTF8=True,
)
controller.start()
(folder / "ready").touch()
threading.Event().wait()
