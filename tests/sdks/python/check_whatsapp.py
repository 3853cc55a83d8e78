"""pywa (a community's SDK; Meta's own is gone): signatures both ways, its types on the twin's webhooks, its client against the twin, its
requests beside ours. Meta signs for Messenger and Instagram the same way."""

import base64
import hashlib
import hmac
import json
import logging
import time

import httpx
from pywa import WhatsApp, types, utils
from pywa.errors import ExpiredAccessToken, RateLimitHit, TooManyMessages, WhatsAppError
from pywa.types.templates import BodyText, QuickReplyButton, TemplateLanguage

from world import Twin, records, refused, send, until

#: People whom the twin tells by their business-scoped id too: the SDK knows no others.
PERSON, OTHER, CROWDED = "+15550190201", "+15550190202", "+15550190203"
BUTTONS = [{"id": "yes", "title": "Yes"}, {"id": "move", "title": "Another time"}]
ROWS = [{"id": f"row{n}", "title": f"Row {n}", "description": f"About {n}", "section": "Rows"} for n in range(5)]
PICTURE = "https://media.example.org/a.png"
#: Seconds between two messages: the sender's limit is 80 a second.
PACE = 1 / 60
#: The most that one person takes at once.
AT_ONCE = 45


def client_of(twin, **other):
    known = twin.settings
    session = httpx.Client()
    account = {"phone_id": known["phone_number_id"], "token": known["access_token"], "app_secret": known["app_secret"], "waba_id": known["waba_id"]}
    client = WhatsApp(**account | other, session=session, verify_token=known["verify_token"])
    session.base_url = f"{twin.api}/v25.0"
    return client


def check():
    logging.getLogger("pywa").setLevel(logging.CRITICAL)
    twin = Twin("whatsapp")
    wa = client_of(twin)
    heard(twin, wa)
    spoken(twin, wa)
    errors(twin, wa)
    for name, person in (("messenger", "messenger:6543210987654201"), ("instagram", "instagram:6543210987654201")):
        signed_alike(Twin(name), person)


def parsed(wa, kind, headers, body):
    """What its handlers are called with for a delivery that its validation lets pass."""
    assert wa.webhook_update_validator(body, headers["x-hub-signature-256"]) is None
    got = []
    handler = kind(lambda _, update: got.append(update))
    wa.add_handlers(handler)
    assert wa.webhook_update_handler(body) == ("ok", 200)
    wa.remove_handlers(handler)
    assert len(got) == 1, (kind, body)
    return got[0]


def heard(twin, wa):
    from pywa.handlers import CallbackButtonHandler, MessageHandler

    twin.act(person=f"whatsapp:{PERSON}", text="WhatsApp says hello")
    headers, body = twin.webhook("WhatsApp says hello")
    message = parsed(wa, MessageHandler, headers, body)
    who = message.from_user
    assert (message.text, who.wa_id, who.bsuid, who.name) == ("WhatsApp says hello", PERSON[1:], f"US.{PERSON[1:]}", "Ana"), message
    changed = body.replace(b"says hello", b"says hullo")
    proof = headers[utils.HUB_SIG.lower()]
    assert wa.webhook_update_validator(changed, proof) and wa.webhook_update_validator(body, None)
    assert twin.deliver(headers, changed) == 401

    twin.act(person="whatsapp:US.44010201", text="WhatsApp says good day")
    assert parsed(wa, MessageHandler, *twin.webhook("WhatsApp says good day")).from_user.bsuid == "US.44010201"
    twin.act(person=f"whatsapp:{PERSON}", image="WhatsApp shows")
    picture = parsed(wa, MessageHandler, *twin.webhook("WhatsApp shows")).image
    assert picture.mime_type == "image/png" and wa.get_media_url(picture.id).url.startswith("https://"), picture
    twin.act(person=f"whatsapp:{PERSON}", pick="sdk-pick", title="Yes")
    picked = parsed(wa, CallbackButtonHandler, *twin.webhook("sdk-pick"))
    assert (picked.data, picked.title) == ("sdk-pick", "Yes"), picked

    ours = json.loads(body)
    ours["entry"][0]["changes"][0]["value"]["messages"][0] |= {"id": "wamid.SDK0201", "text": {"body": "SDK signed"}}
    body = json.dumps(ours).encode()
    proof = "sha256=" + hmac.new(twin.settings["app_secret"].encode(), body, hashlib.sha256).hexdigest()
    assert wa.webhook_update_validator(body, proof) is None
    twin.signed({"content-type": "application/json", "x-hub-signature-256": proof}, body, "SDK signed")


def spoken(twin, wa):
    """The same said by both: the requests must be the same."""
    from pywa.handlers import MessageStatusHandler

    to, rows = f"whatsapp:{OTHER}", [types.SectionRow(row["title"], row["id"], row["description"]) for row in ROWS]
    both = (
        ("text", lambda: wa.send_message(OTHER, "Hello"), {"type": "text", "text": "Hello"}),
        ("buttons", lambda: wa.send_message(OTHER, "Coming?", buttons=[types.Button(b["title"], b["id"]) for b in BUTTONS]),
         {"type": "choices", "text": "Coming?", "options": BUTTONS}),
        ("list", lambda: wa.send_message(OTHER, "Which?", buttons=types.SectionList("Choose", [types.Section("Rows", rows)])),
         {"type": "choices", "text": "Which?", "options": ROWS, "menu_label": "Choose"}),
        ("picture", lambda: wa.send_image(OTHER, PICTURE, caption="Look"),
         {"type": "image", "media": {"url": PICTURE, "mime_type": "image/png"}, "caption": "Look"}),
        ("place", lambda: wa.send_location(OTHER, 40.41, -3.7, "Office", "Main street 1"),
         {"type": "location", "latitude": 40.41, "longitude": -3.7, "name": "Office", "address": "Main street 1"}),
    )
    for what, call, part in both:
        theirs, ours = request(call), request(lambda: send(to, "demo-whatsapp", part))
        assert theirs == ours, (what, theirs, ours)
    params = [BodyText.params("20:00"), QuickReplyButton.params(callback_data="sdk-yes", index=0)]
    theirs = request(lambda: wa.send_template(OTHER, "table_reminder", TemplateLanguage.ENGLISH_US, params))
    template = {"name": "table_reminder", "locale": "en-US", "params": {"body.1": "20:00", "button.0.quick_reply": "sdk-yes"}}
    ours = request(lambda: send(to, "demo-whatsapp", template=template))
    assert theirs == ours, (theirs, ours)

    sent = wa.send_message(OTHER, "Hello again", tracker="sdk-tracked")
    assert sent.id.startswith("wamid.") and (sent.input, sent.chat.id) == (OTHER, OTHER[1:]), sent
    deliveries = until("the receipts", lambda: (lambda found: found if len(found) >= 3 else None)(receipts("sdk-tracked")))
    statuses = {parsed(wa, MessageStatusHandler, r["headers"], base64.b64decode(r["body"])) for r in deliveries}
    assert {str(status.status.value) for status in statuses} == {"sent", "delivered", "read"}, statuses
    assert {status.id for status in statuses} == {sent.id} and {status.tracker for status in statuses} == {"sdk-tracked"}
    uploaded = wa.upload_media(b"\x89PNG fake", "image/png", "a.png")
    assert wa.send_image(OTHER, uploaded).id.startswith("wamid.")
    assert wa.mark_message_as_read("wamid.SDK0201")


def request(call):
    """What a call makes of the twin's API, without what names the message."""
    before = len(calls())
    call()
    made = until("the request", lambda: calls()[before:])[0]
    body = json.loads(base64.b64decode(made["body"]))
    body.pop("biz_opaque_callback_data", None)
    if body.get("text", {}).get("preview_url") is False:
        del body["text"]["preview_url"]
    for component in body.get("template", {}).get("components", []):
        component |= {name: str(value).lower() for name, value in component.items() if name != "parameters"}
    return made["url"], made["headers"]["authorization"], body


def calls():
    return [r for r in records() if r["url"].startswith("/sandbox/whatsapp/") and r["url"].endswith("/messages")]


def receipts(tracker):
    return [r for r in records() if r["url"].startswith("/hooks/demo-whatsapp") and tracker in base64.b64decode(r["body"]).decode()]


def errors(twin, wa):
    assert refused(ExpiredAccessToken, client_of(twin, token="fake").send_message, OTHER, "x").status_code == 401
    assert refused(WhatsAppError, wa.send_message, OTHER, "x" * 4097).code == 131009
    twin.mood(throttle=1)
    assert refused(RateLimitHit, wa.send_message, OTHER, "x").code == 130429
    twin.mood()
    assert refused(TooManyMessages, crowd, wa).code == 131056


def crowd(wa):
    """One more to the same person than may go at once."""
    for _ in range(AT_ONCE + 1):
        time.sleep(PACE)
        wa.send_message(CROWDED, "x")


def signed_alike(twin, person):
    twin.act(person=person, text=f"{twin.name} says hello")
    headers, body = twin.webhook(f"{twin.name} says hello")
    secret = twin.settings["app_secret"]
    # The last of several: what they were before it is rotated.
    secret, proof = secret if isinstance(secret, str) else secret[-1], headers["x-hub-signature-256"]
    assert utils.webhook_updates_validator(secret, body, proof)
    assert not utils.webhook_updates_validator(secret, body.replace(b"hello", b"hullo"), proof)
    assert not utils.webhook_updates_validator("fake-other", body, proof)
