"""xdk (X's own): its client against the twin and its types on what we render; oauthlib: the signature that our adapter makes."""

import base64

import requests
from oauthlib.oauth1.rfc5849 import signature
from oauthlib.oauth1.rfc5849.utils import parse_authorization_header, unescape
from xdk import Client
from xdk.oauth1_auth import OAuth1
from xdk.schemas import CreateActivitySubscriptionRequest, CreateDirectMessagesByParticipantIdRequest

from world import BASE, PARTS, Twin, refused, send

PERSON = "7770201"


def check():
    twin = Twin("x_dm")
    known = twin.settings
    keys = OAuth1(known["consumer_key"], known["consumer_secret"], "", known["access_token"], known["access_token_secret"])
    hello = CreateDirectMessagesByParticipantIdRequest(text="by the SDK")
    for client in (Client(twin.api, access_token=known["access_token"]), Client(twin.api, auth=keys)):
        sent = client.direct_messages.create_by_participant_id(PERSON, hello)
        assert sent.data.dm_event_id.isdigit() and sent.data.dm_conversation_id.endswith(f"-{PERSON}"), sent
    signed(twin.calls("by the SDK")[-1], known)
    wish = {"event_type": "dm.received", "filter": {"user_id": known["user_id"]}, "tag": "sdk", "webhook_id": "17"}
    wish = CreateActivitySubscriptionRequest.model_validate(wish)
    made = client.activity.create_subscription(wish)
    assert made.data.subscription.event_type == "dm.received" and made.data.subscription.subscription_id, made
    errors(twin, client, hello)

    # The limit is 15 in a quarter of an hour.
    for part in PARTS[:1] + PARTS[2:4]:
        send(f"x:{PERSON}", "demo-x_dm", part)
    calls = twin.calls("by the gateway")
    assert len(calls) == 3, calls
    for call in calls:
        signed(call, known)
        typed = CreateDirectMessagesByParticipantIdRequest.model_validate_json(base64.b64decode(call["body"]))
        assert typed.text and not typed.model_extra, typed


def errors(twin, client, hello):
    def status(client, body=hello):
        return refused(requests.HTTPError, client.direct_messages.create_by_participant_id, PERSON, body).response

    stranger = status(Client(twin.api, access_token="fake"))
    assert stranger.status_code == 401 and stranger.json()["title"] == "Unauthorized", stranger.text
    assert status(client, {"text": ""}).status_code == 400
    assert status(client, {"text": "x", "quick_reply": {}}).status_code == 400
    twin.mood(throttle=1)
    assert status(client).status_code == 429
    twin.mood()


def signed(call, known):
    """Whether a call's signature is that of the account, over method, address and its own fields; and not over others."""
    header, secrets = call["headers"]["authorization"], (known["consumer_secret"], known["access_token_secret"])

    def made(header, url):
        fields = signature.collect_parameters(url.partition("?")[2], headers={"Authorization": header})
        base = signature.signature_base_string(call["method"], signature.base_string_uri(url), signature.normalize_parameters(fields))
        return signature.sign_hmac_sha1(base, *secrets)

    fields = dict(parse_authorization_header(header))
    proof, url = unescape(fields["oauth_signature"]), BASE + call["url"]
    assert (fields["oauth_consumer_key"], fields["oauth_token"]) == (known["consumer_key"], known["access_token"]), fields
    assert made(header, url) == proof, call
    assert made(header, url + "x") != proof and made(header.replace('oauth_nonce="', 'oauth_nonce="x'), url) != proof
