"""sinch: its check of signatures, its types on the twin's callbacks and on what we render, its login and its client against the twin."""

import base64
import json
import time
import uuid

from sinch import SinchClient
from sinch.core.enums import RetryPolicy
from sinch.core.clients.retry_configuration import RetryConfiguration
from sinch.domains.authentication.exceptions import AuthenticationException
from sinch.domains.authentication.sinch_events.v1 import authentication_validation as validation
from sinch.domains.conversation.api.v1.exceptions import ConversationException
from sinch.domains.conversation.models.v1.messages.internal.request.send_message_request import SendMessageRequest
from sinch.domains.conversation.models.v1.sinch_events import MessageDeliveryReceiptEvent, MessageInboundEvent

from world import PARTS, Twin, refused, send, unknown

WHO = "15550100201"
MANY = [{"id": f"row{n}", "title": f"Row {n}", "description": "by the gateway"} for n in range(6)]


def client_of(twin, **other):
    known = twin.settings
    account = {"project_id": known["project_id"], "key_id": known["key_id"], "key_secret": known["key_secret"]}
    retries = RetryConfiguration(retry_policy=RetryPolicy.NONE)
    client = SinchClient(**account | other, conversation_region=known["region"], retry_configuration=retries)
    client.configuration.auth_origin = client.configuration.conversation_domain = twin.api
    return client


def check():
    twin = Twin("sinch")
    app = twin.settings["app_id"]
    events = client_of(twin).conversation.sinch_events(twin.settings["webhook_secret"])

    twin.act(person=f"whatsapp:+{WHO}", text="Sinch says hello")
    headers, body = twin.webhook("Sinch says hello")
    assert events.validate_authentication_header(headers, body)
    assert not events.validate_authentication_header(headers, body.replace(b"hello", b"hullo"))
    assert not events.validate_authentication_header(headers | {"x-sinch-webhook-signature-nonce": "other"}, body)
    event = events.parse_event(body, headers)
    assert isinstance(event, MessageInboundEvent) and event.app_id == app, event
    message = event.message
    assert message.contact_message.text_message.text == "Sinch says hello" and message.direction == "TO_APP", message
    assert (message.channel_identity.channel, message.channel_identity.identity) == ("WHATSAPP", WHO), message
    assert unknown(event) == [], unknown(event)

    ours = json.loads(body)
    ours["message"] |= {"id": "01SDK0201", "contact_message": {"text_message": {"text": "SDK signed"}}}
    body = json.dumps(ours)
    twin.signed(proof(twin, body), body.encode(), "SDK signed")

    client = client_of(twin)
    to = [{"channel": "WHATSAPP", "identity": WHO}]
    sent = client.conversation.messages.send_text_message(app, "by the SDK", recipient_identities=to, message_metadata="sdk-tracked")
    assert sent.message_id and sent.accepted_time.year > 2000, sent
    report = events.parse_event(twin.webhook("sdk-tracked")[1])
    assert isinstance(report, MessageDeliveryReceiptEvent) and report.message_delivery_report.message_id == sent.message_id, report
    assert report.message_metadata == "sdk-tracked" and unknown(report) == [], (report, unknown(report))
    errors(twin, client, to)

    for person in (f"whatsapp:+{WHO}", f"rcs:+{WHO}", f"tel:+{WHO}"):
        for part in PARTS + [{"type": "choices", "text": "Which? by the gateway", "options": MANY}]:
            send(person, "demo-sinch", part)
    made = [json.loads(base64.b64decode(r["body"])) for r in twin.calls("by the gateway")]
    assert len(made) > 15, len(made)
    for request in made:
        typed = SendMessageRequest(**request)
        assert unknown(typed) == [], (unknown(typed), request)
        again = typed.model_dump(by_alias=True, exclude_none=True)
        assert again == request, (again, request)


def proof(twin, body):
    """The headers of a delivery: what the SDK checks by it can also sign."""
    nonce, stamp = "fake-sdk", str(int(time.time()))
    tag = validation.calculate_sinch_event_signature(validation.compute_signed_data(body, nonce, stamp), twin.settings["webhook_secret"])
    signature = {"": tag, "-nonce": nonce, "-timestamp": stamp, "-algorithm": "HmacSHA256"}
    return {"content-type": "application/json"} | {f"x-sinch-webhook-signature{name}": value for name, value in signature.items()}


def errors(twin, client, to):
    send_text = client.conversation.messages.send_text_message
    error = refused(ConversationException, send_text, str(uuid.uuid4()), "x", recipient_identities=to)
    assert error.http_response.status_code == 404 and "NOT_FOUND" in str(error), error
    error = refused(ConversationException, send_text, twin.settings["app_id"], "", recipient_identities=to)
    assert error.http_response.status_code == 400 and "INVALID_ARGUMENT" in str(error), error
    twin.mood(throttle=1)
    error = refused(ConversationException, send_text, twin.settings["app_id"], "x", recipient_identities=to)
    assert error.http_response.status_code == 429 and "RESOURCE_EXHAUSTED" in str(error), error
    twin.mood()
    stranger = client_of(twin, key_secret="fake").conversation.messages.send_text_message
    error = refused(AuthenticationException, stranger, twin.settings["app_id"], "x", recipient_identities=to)
    assert error.http_response.status_code == 401, error
