"""line-bot-sdk: its parser on the twin's webhooks, its types on what we render."""

import base64
import json

from linebot.v3 import WebhookParser
from linebot.v3.exceptions import InvalidSignatureError
from linebot.v3.messaging import PushMessageRequest, ReplyMessageRequest
from linebot.v3.webhooks import MessageEvent, PostbackEvent

from world import PARTS, Twin, lost, send

PERSON = "U00000000000000000000000000000202"


def check():
    twin = Twin("line")
    parser = WebhookParser(twin.settings["channel_secret"])
    twin.act(person=f"line:{PERSON}", text="LINE says good day")
    headers, body = twin.webhook("LINE says good day")
    event = parser.parse(body.decode(), headers["x-line-signature"])[0]
    assert isinstance(event, MessageEvent) and event.message.text == "LINE says good day" and event.source.user_id == PERSON
    try:
        parser.parse(body.decode().replace("good", "bad!"), headers["x-line-signature"])
        raise AssertionError("a changed byte passes")
    except InvalidSignatureError:
        pass
    twin.act(person=f"line:{PERSON}", pick="sdk-pick", title="Yes")
    headers, body = twin.webhook("sdk-pick")
    event = parser.parse(body.decode(), headers["x-line-signature"])[0]
    assert isinstance(event, PostbackEvent) and event.postback.data == "sdk-pick"

    for part in PARTS:
        send(f"line:{PERSON}", "demo-line", part)
    made = [json.loads(base64.b64decode(r["body"])) for r in twin.calls("by the gateway")]
    kinds = set()
    for request in made:
        typed = (ReplyMessageRequest if "replyToken" in request else PushMessageRequest).from_dict(request)
        kinds |= {message.type for message in typed.messages}
        # What its types do not know they drop: all of ours must come back.
        assert lost(request, typed.to_dict()) == [], lost(request, typed.to_dict())
    assert {"text", "location", "template"} <= kinds or {"text", "location", "flex"} <= kinds, kinds
