"""http_ece and py_vapid, as pywebpush uses them: what we encrypt is read by the browser, what we sign is verified."""

import base64
import json

import http_ece
from cryptography.hazmat.primitives.asymmetric import ec
from py_vapid import Vapid02

from world import Twin, ask, send

# The user agent of RFC 8291, section 5, whose browser the twin plays.
PRIVATE = "q1dXpw3UpT5VOmu_cf_v6ih07Aems3njxI-JWgLcM94"
PUBLIC = "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4"
AUTH = "BTBZMqHH6r4Tts7J_aSIgg"


def plain(text):
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def check():
    twin = Twin("webpush")
    subscription = {"endpoint": "https://fcm.googleapis.com/fcm/send/fake-sdk-202", "keys": {"p256dh": PUBLIC, "auth": AUTH}}
    device = ask("/v1/devices", {"channel": "demo-webpush", "subscription": subscription})
    send(device["address"], "demo-webpush", {"type": "notification", "title": "by the gateway", "body": "Hello"})
    made = next(r for r in twin.calls("") if r["url"].endswith("fake-sdk-202"))
    key = ec.derive_private_key(int.from_bytes(plain(PRIVATE), "big"), ec.SECP256R1())
    shown = http_ece.decrypt(base64.b64decode(made["body"]), private_key=key, auth_secret=plain(AUTH), version="aes128gcm")
    assert json.loads(shown)["title"] == "by the gateway", shown
    # RFC 8292 has a space behind the comma that this reader does not know.
    proof = made["headers"]["authorization"].replace(", ", ",")
    assert Vapid02.verify(proof) and not Vapid02.verify(proof.replace("t=eyJ", "t=eyK", 1))
