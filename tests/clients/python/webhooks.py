"""Deliveries of ours, checked by the Standard Webhooks library and read by the CloudEvents SDK."""

import base64
import json
import os
import sys

from cloudevents.core.bindings.http import HTTPMessage, from_http_event
from standardwebhooks import Webhook, WebhookVerificationError

secret = os.environ["SECRET"]
webhook = Webhook(secret)


def refused(headers, body, by=webhook):
    try:
        by.verify(body, headers)
    except WebhookVerificationError:
        return True
    return False


deliveries = [json.loads(line) for line in open(sys.argv[1])]
texts = []
for delivery in deliveries:
    headers, body = delivery["headers"], base64.b64decode(delivery["body"])
    webhook.verify(body, headers)
    assert refused(headers, body.replace(b"table", b"chair"))
    assert refused(headers | {"webhook-id": "evt_another"}, body)
    assert refused(headers | {"webhook-timestamp": str(int(headers["webhook-timestamp"]) - 1)}, body)
    assert refused(headers, body, Webhook("whsec_" + base64.b64encode(b"another secret of enough length").decode()))
    event = from_http_event(HTTPMessage(headers=headers, body=body))
    assert event.get_id() == headers["webhook-id"] and event.get_type() == "fairway.message.received"
    assert event.get_source() == "/channels/demo-telegram" and event.get_time().tzinfo is not None
    data = event.get_data()
    assert event.get_subject() == data["conversation"], event
    texts.append(data["message"]["parts"][0]["text"])
assert texts == json.loads(sys.argv[2]), texts
