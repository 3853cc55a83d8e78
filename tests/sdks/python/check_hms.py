"""hpa (Huawei's own): its login, its client and its errors against the twin, its validators and its wording on what we render."""

import base64
import json

import hpa
from hpa import messaging as push
from hpa._message_serializer import MessageSerializer

from world import PARTS, Twin, lost, refused, send

DEVICE = "IQAAAAfakeSdkDevice-0201"
NOTE = {"type": "notification", "title": "Hello", "body": "by the gateway", "collapse_key": "news", "data": {"a": "1"}}
LINKED = NOTE | {"url": "https://shop.example.org/77", "image": "https://media.example.org/a.png", "sound": "bell"}
INSIDE = NOTE | {"url": "app://orders/77"}
SILENT = {"type": "notification", "data": {"by the gateway": "1"}}


def check():
    twin = Twin("hms")
    known = twin.settings
    hpa.initialize_app(known["app_id"], known["app_secret"], f"{twin.api}/oauth2/v3/token", twin.api)
    words = push.AndroidNotification("Hello", "by the SDK", click_action=push.AndroidClickAction(3))
    android = push.AndroidConfig(collapse_key=7, ttl="60s", bi_tag="sdk-tag", notification=words)
    sent = push.send_message(push.Message(token=[DEVICE], data="{}", android=android))
    assert sent.code == "80000000" and sent.requestId.isdigit(), vars(sent)
    gone = push.send_message(push.Message(token=["dead" + DEVICE], android=android))
    assert gone.code == "80300007", vars(gone)
    wrong = push.AndroidConfig(ttl="1296001s", bi_tag="sdk-tag", notification=words)
    assert "400" in str(refused(push.ApiCallError, push.send_message, push.Message(token=[DEVICE], android=wrong)))
    twin.webhook("sdk-tag")
    hpa.initialize_app("stranger", "fake", f"{twin.api}/oauth2/v3/token", twin.api)
    assert "403" in str(refused(push.ApiCallError, push.send_message, push.Message(token=[DEVICE], android=android), app_id="stranger"))

    for part in PARTS + [NOTE, LINKED, INSIDE, SILENT]:
        send(f"hms:{DEVICE}", "demo-hms", part)
    made = [json.loads(base64.b64decode(r["body"])) for r in twin.calls("by the gateway")]
    assert len(made) >= len(PARTS) + 4, made
    for request in made:
        ours = request["message"]
        # It checks the category and forgets to write it.
        ours["android"].pop("category", None)
        theirs = MessageSerializer().default(typed(ours))
        assert lost(ours, theirs) == [], (lost(ours, theirs), ours)


def typed(message):
    """Our message in its types, which refuse what is wrong."""
    android = dict(message["android"])
    if shown := android.get("notification"):
        click = {{"type": "action_type"}.get(name, name): value for name, value in shown["click_action"].items()}
        android["notification"] = push.AndroidNotification(**shown | {"click_action": push.AndroidClickAction(**click)})
    return push.Message(**message | {"android": push.AndroidConfig(**android)})
