"""google-auth: its check of the twin's proofs, its login against the twin. google-apps-chat: its client against the twin, its types on
what the twin tells and on what we render."""

import base64
import json

from google.api_core import exceptions as errors
from google.api_core.retry import Retry, if_exception_type
from google.apps import chat_v1
from google.apps.chat_v1.services.chat_service.transports import ChatServiceRestTransport
from google.auth import exceptions
from google.auth.transport.requests import Request
from google.oauth2 import id_token, service_account
from google.protobuf import json_format

from world import PARTS, Twin, refused, send

SPACE = "spaces/AAAASDK0201"
SCOPES = ["https://www.googleapis.com/auth/chat.bot"]


def check():
    twin = Twin("google_chat")
    proved(twin)
    account = json.loads(twin.settings["service_account_key"]) | {"token_uri": f"{twin.api}/token"}
    spoken(twin, service_account.Credentials.from_service_account_info(account, scopes=SCOPES))
    stranger = service_account.Credentials.from_service_account_info(account | {"client_email": "nobody@example.org"}, scopes=SCOPES)
    assert "invalid_grant" in str(refused(exceptions.RefreshError, stranger.refresh, Request()))

    for n, part in enumerate(PARTS):
        send(f"gchat:{SPACE}{n}", "demo-google_chat", part)
    made = [json.loads(base64.b64decode(r["body"])) for r in twin.calls("by the gateway")]
    assert len(made) >= len(PARTS) and any("cardsV2" in message for message in made), made
    for message in made:
        assert typed(chat_v1.Message, message).keys() == message.keys(), message


def proved(twin):
    twin.act(person=f"gchat:{SPACE}", text="Google Chat says hello")
    headers, body = twin.webhook("Google Chat says")
    token, keys = headers["authorization"].removeprefix("Bearer "), f"{twin.api}/oauth2/v3/certs"
    claims = id_token.verify_token(token, Request(), audience=twin.settings["audience"], certs_url=keys)
    assert claims["iss"] == "https://accounts.google.com" and claims["email"].startswith("service-"), claims
    head, middle, tail = token.split(".")
    for changed, audience in ((f"{head}.{middle}.{tail[::-1]}", twin.settings["audience"]), (token, "https://elsewhere.example")):
        try:
            id_token.verify_token(changed, Request(), audience=audience, certs_url=keys)
            raise AssertionError("a changed proof passes")
        except Exception as error:
            assert not isinstance(error, AssertionError), error
    assert twin.deliver(headers | {"authorization": f"Bearer {head}.{middle}.{tail[::-1]}"}, body) == 401

    told = json.loads(body)["chat"]
    typed(chat_v1.User, told["user"])
    message = typed(chat_v1.Message, told["messagePayload"]["message"])
    assert message["text"] == "Google Chat says hello" and typed(chat_v1.Space, told["messagePayload"]["space"])["name"] == SPACE, told


def spoken(twin, login):
    client = chat_v1.ChatServiceClient(transport=ChatServiceRestTransport(host=twin.api, credentials=login))
    # A space takes one a second.
    patiently = Retry(predicate=if_exception_type(errors.TooManyRequests), initial=0.5, timeout=20)
    sent = client.create_message(parent=SPACE, message=chat_v1.Message(text="by the SDK"), retry=patiently)
    assert sent.name.startswith(f"{SPACE}/messages/") and sent.text == "by the SDK", sent
    mended = client.update_message(message=chat_v1.Message(name=sent.name, text="by the SDK, mended"), update_mask="text")
    assert (mended.name, mended.text) == (sent.name, "by the SDK, mended"), mended
    client.delete_message(name=sent.name)
    refused(errors.NotFound, client.delete_message, name=sent.name)
    refused(errors.BadRequest, client.create_message, parent=f"{SPACE}X", message=chat_v1.Message())
    twin.mood(throttle=1)
    refused(errors.TooManyRequests, client.create_message, parent=SPACE, message=chat_v1.Message(text="x"))
    twin.mood()


def typed(kind, value):
    """What its types make of JSON: they refuse what they do not know."""
    message = json_format.ParseDict(value, kind.pb(kind()), ignore_unknown_fields=False)
    return json_format.MessageToDict(message)
