"""aioapns: its client against the twin, over HTTP/2; PyJWT: the token that our adapter makes; both pushes beside each other."""

import asyncio
import base64
import json
import logging
import os
import ssl
import time

import jwt
from aioapns import APNs, NotificationRequest, PushType
from aioapns.connection import APNsProductionClientProtocol
from cryptography.hazmat.primitives import serialization

from world import Twin, send

DEVICE = "a0b1c2d3" * 8
WORDS = {"title": "Hello", "body": "by the SDK"}


def client(known, **other):
    host, port = os.environ["APNS_API"].split(":")
    APNsProductionClientProtocol.APNS_SERVER, APNsProductionClientProtocol.APNS_PORT = host, int(port)
    tls = ssl.create_default_context(cafile=os.environ["APNS_CERT"])
    tls.set_alpn_protocols(["h2"])
    account = {"key": known["private_key"], "key_id": known["key_id"], "team_id": known["team_id"], "topic": known["bundle_id"]}
    return APNs(**account | other, ssl_context=tls, max_connection_attempts=1)


async def push(apns, device, message, **more):
    kind = more.pop("push_type", PushType.ALERT)
    # It waits forever where an answer does not name the push.
    sent = apns.send_notification(NotificationRequest(device, message, push_type=kind, **more))
    answer = await asyncio.wait_for(sent, 20)
    return answer.status, answer.description or "", answer.timestamp


async def pushes(known):
    apns = client(known)
    alert = {"aps": {"alert": WORDS, "sound": "default"}, "a": "1"}
    assert await push(apns, DEVICE, alert, priority=10, collapse_key="news", time_to_live=60) == ("200", "", None)
    background = {"aps": {"content-available": 1}}
    assert (await push(apns, DEVICE, background, priority=5, push_type=PushType.BACKGROUND))[0] == "200"
    status, reason, gone = await push(apns, "dead" + DEVICE[4:], alert)
    assert (status, reason) == ("410", "Unregistered") and abs(gone / 1000 - time.time()) < 60, (status, reason, gone)
    for device, more, wanted in (
        ("bad0" + DEVICE[4:], {}, ("400", "BadDeviceToken")),
        ("feed" + DEVICE[4:], {}, ("429", "TooManyRequests")),
        (DEVICE, {"apns_topic": "net.example.other"}, ("400", "TopicDisallowed")),
        (DEVICE, {"collapse_key": "x" * 65}, ("400", "BadCollapseId")),
    ):
        assert (await push(apns, device, alert, **more))[:2] == wanted, wanted
    assert (await push(apns, DEVICE, {"aps": {"alert": "x" * 4096}}))[:2] == ("413", "PayloadTooLarge")
    stranger = client(known, team_id="NOTOURTEAM")
    assert (await push(stranger, DEVICE, alert))[:2] == ("403", "InvalidProviderToken")
    apns.pool.close()
    stranger.pool.close()


def check():
    logging.getLogger("aioapns").setLevel(logging.CRITICAL)
    twin = Twin("apns")
    known = twin.settings
    asyncio.run(pushes(known))

    send(f"apns:{DEVICE}", "demo-apns", {"type": "notification", "title": "Hello", "body": "by the gateway", "collapse_key": "news", "data": {"a": "1"}})
    ours, theirs = twin.calls("by the gateway")[0], twin.calls("by the SDK")[0]
    token = ours["headers"]["authorization"].removeprefix("bearer ")
    public = serialization.load_pem_private_key(known["private_key"].encode(), None).public_key()
    claims = jwt.decode(token, public, algorithms=["ES256"], options={"require": ["iss", "iat"]})
    assert claims["iss"] == known["team_id"] and 0 <= time.time() - claims["iat"] < 3600, claims
    assert jwt.get_unverified_header(token)["kid"] == known["key_id"]
    theirs_claims = jwt.decode(theirs["headers"]["authorization"].removeprefix("bearer "), options={"verify_signature": False})
    assert claims.keys() == theirs_claims.keys(), (claims, theirs_claims)
    try:
        jwt.decode(token.replace(".eyJ", ".eyK", 1), public, algorithms=["ES256"])
        raise AssertionError("a changed token passes")
    except jwt.InvalidSignatureError:
        pass

    assert ours["url"] == theirs["url"]
    for name in ("apns-topic", "apns-push-type", "apns-priority", "apns-collapse-id"):
        assert ours["headers"][name] == theirs["headers"][name], (name, ours["headers"], theirs["headers"])
    mine, other = (json.loads(base64.b64decode(r["body"])) for r in (ours, theirs))
    assert mine["aps"]["alert"].keys() == other["aps"]["alert"].keys() and mine["aps"]["sound"] == other["aps"]["sound"], mine
    assert mine["a"] == other["a"], mine
