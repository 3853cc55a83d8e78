"""A client generated from /openapi.json sends a message and reads it back."""

import sys
import time

from fairway_client import Client
from fairway_client.api.channels import list_channels
from fairway_client.api.events import list_events
from fairway_client.api.messages import list_messages, send_message, show_message
from fairway_client.models import (
    ChoiceOption,
    ChoicesPart,
    Problem,
    SendRequest,
    SendRequestMetadata,
    TextPart,
)

client = Client(base_url=sys.argv[1])
metadata = SendRequestMetadata.from_dict({"booking": "B-78"})
parts = [
    TextPart(type_="text", text="Your table is ready"),
    ChoicesPart(type_="choices", text="Still coming?", options=[ChoiceOption(id="yes", title="Yes")]),
]
accepted = send_message.sync(client=client, body=SendRequest(to="telegram:5550002", parts=parts, metadata=metadata))
assert not isinstance(accepted, Problem), accepted
assert accepted.id.startswith("msg_"), accepted

for _ in range(100):
    message = show_message.sync(client=client, id=accepted.id)
    assert not isinstance(message, Problem), message
    if message.state not in ("accepted", "sending"):
        break
    time.sleep(0.1)
assert message.state == "sent", message
assert [type(part) for part in message.request.parts] == [TextPart, ChoicesPart], message.request
assert message.request.parts[0].text == "Your table is ready"
assert message.request.metadata["booking"] == "B-78"
assert {"accepted", "sent"} <= {line.what for line in message.timeline}, message.timeline
assert message.created_at <= message.updated_at and message.created_at.utcoffset() is not None

refused = send_message.sync(client=client, body=SendRequest(to="telegram:5550002", parts=[TextPart(type_="text", text="")]))
assert isinstance(refused, Problem), refused
assert refused.type_ == "/problems/invalid-request" and refused.errors[0].pointer == "#/parts/0/text", refused

assert list_messages.sync(client=client, limit=1).data[0].id == accepted.id
created = list_events.sync(client=client, type_="fairway.message.created").data
assert created[-1].data["message_id"] == accepted.id, created
assert any(channel.id == "demo-telegram" and channel.limits for channel in list_channels.sync(client=client).data)
