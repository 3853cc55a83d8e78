"""viberbot: its check of signatures, its client against the twin, its types on the twin's webhooks."""

import hashlib
import hmac
import json
import logging
from unittest import mock

from viberbot import Api, BotConfiguration
from viberbot.api.messages import TextMessage
from viberbot.api.viber_requests import ViberMessageRequest

from world import Twin

PERSON = "FakeSdkUser0000000201A=="


def check():
    logging.disable(logging.CRITICAL)
    twin = Twin("viber")
    token = twin.settings["auth_token"]
    with mock.patch("viberbot.api.api.VIBER_BOT_API_URL", f"{twin.api}/pa"):
        api = Api(BotConfiguration(auth_token=token, name="Twin", avatar="https://media.example.org/a.png"))

    twin.act(person=f"viber:{PERSON}", text="Viber says hello")
    headers, body = twin.webhook("Viber says")
    proof = headers["x-viber-content-signature"]
    assert api.verify_signature(body, proof) and not api.verify_signature(body.replace(b"hello", b"hullo"), proof)
    request = api.parse_request(body.decode())
    assert isinstance(request, ViberMessageRequest) and request.message.text == "Viber says hello" and request.sender.id == PERSON

    event = json.loads(body) | {"message_token": 6_900_000_000_000_000_201}
    event["message"]["text"] = "SDK signed"
    body = json.dumps(event).encode()
    proof = hmac.new(token.encode(), body, hashlib.sha256).hexdigest()
    assert api.verify_signature(body, proof)
    twin.signed({"content-type": "application/json", "x-viber-content-signature": proof}, body, "signed")

    with mock.patch("viberbot.api.api.VIBER_BOT_API_URL", f"{twin.api}/pa"):
        assert api.get_account_info()["status"] == 0
        assert len(api.send_messages(PERSON, [TextMessage(text="by the SDK")])) == 1
        try:
            api.send_messages("nobody", [TextMessage(text="x")])
            raise AssertionError("nobody gets a message")
        except Exception as error:
            assert "receiverNotRegistered" in str(error), error
