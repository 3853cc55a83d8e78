"""microsoft-teams-apps and -api: their check of the twin's proofs, their types on its activities and on what we render, their client
against the twin, which edits and takes back as well."""

import asyncio
import base64
import dataclasses
import json
import logging

import httpx
import jwt
import microsoft_teams.cards
from microsoft_teams.api import ApiClient, ClientCredentials, MessageActivityInput
from microsoft_teams.api.activities import ActivityTypeAdapter
from microsoft_teams.api.auth.cloud_environment import PUBLIC
from microsoft_teams.api.clients.bot.token_client import BotTokenClient
from microsoft_teams.apps.auth import TokenValidator
from microsoft_teams.cards import AdaptiveCard
from microsoft_teams.common.http import ClientOptions

from world import PARTS, Twin, lost, send, unknown

PLACE = "a:1-fake-sdk-0201"


def check():
    logging.disable(logging.CRITICAL)
    twin = Twin("teams")
    keys = f"{twin.api}/v1/.well-known/openidconfiguration"
    cloud = dataclasses.replace(PUBLIC, openid_metadata_url=keys, login_endpoint=twin.api)
    asyncio.run(heard(twin, cloud))
    asyncio.run(spoken(twin, cloud))
    rendered(twin)
    logging.disable(logging.NOTSET)


async def heard(twin, cloud):
    twin.act(person=f"teams:{PLACE}", text="Teams says hello")
    headers, body = twin.webhook("Teams says hello")
    token, activity = headers["authorization"].removeprefix("Bearer "), ActivityTypeAdapter.validate_json(body)
    assert (activity.type, activity.text, activity.conversation.id, activity.channel_id) == ("message", "Teams says hello", PLACE, "msteams"), activity
    validator = TokenValidator.for_service(twin.settings["app_id"], activity.service_url, cloud)
    claims = await validator.validate_token(token)
    assert claims["iss"] == PUBLIC.token_issuer, claims
    head, middle, tail = token.split(".")
    other_app = TokenValidator.for_service("99999999-bbbb-cccc-dddd-eeeeeeeeeeee", activity.service_url, cloud)
    other_place = TokenValidator.for_service(twin.settings["app_id"], "https://elsewhere.example/", cloud)
    for check, proof in ((validator, f"{head}.{middle}.{tail[::-1]}"), (other_app, token), (other_place, token)):
        try:
            await check.validate_token(proof)
            raise AssertionError(f"{proof} passes")
        except jwt.InvalidTokenError:
            pass
    assert twin.deliver(headers | {"authorization": f"Bearer {head}.{middle}.{tail[::-1]}"}, body) == 401
    assert twin.deliver(headers, body.replace(b"smba.trafficmanager.net", b"smba.elsewhere.example.")) == 401

    twin.act(person=f"teams:{PLACE}", pick="sdk-pick", title="Yes")
    picked = ActivityTypeAdapter.validate_json(twin.webhook("sdk-pick")[1])
    assert picked.value["choice"] == "sdk-pick" and picked.reply_to_id, picked
    twin.act(person=f"teams:{PLACE}-gone", block=True)
    gone = ActivityTypeAdapter.validate_json(twin.webhook(f"{PLACE}-gone")[1])
    assert (gone.type, gone.action) == ("installationUpdate", "remove"), gone


async def spoken(twin, cloud):
    login = BotTokenClient(cloud=cloud)
    known = twin.settings
    account = {"client_id": known["app_id"], "client_secret": known["app_secret"], "tenant_id": known["tenant_id"]}
    token = (await login.get(ClientCredentials(**account))).access_token
    try:
        await login.get(ClientCredentials(**account | {"client_secret": "fake"}))
        raise AssertionError("a stranger logs in")
    except httpx.HTTPStatusError as error:
        assert error.response.status_code == 401, error

    activities = client(twin, token).conversations.activities(PLACE)
    sent = await activities.create(MessageActivityInput(text="by the SDK"))
    assert sent.id.isdigit(), sent
    assert (await activities.update(sent.id, MessageActivityInput(text="by the SDK, mended"))).id == sent.id
    card = AdaptiveCard.model_validate({"body": [{"type": "TextBlock", "text": "by the SDK"}]})
    assert (await activities.create(MessageActivityInput().add_card(card))).id != sent.id
    assert (await activities.reply(sent.id, MessageActivityInput(text="by the SDK, again"))).id
    await activities.delete(sent.id)
    strangers = client(twin, "fake").conversations.activities(PLACE)
    for call, status, code in (
        (activities.delete(sent.id), 404, "ActivityNotFoundInConversation"),
        (strangers.create(MessageActivityInput(text="x")), 401, "Unauthorized"),
        (client(twin, token).conversations.activities("nowhere").create(MessageActivityInput(text="x")), 404, "ConversationNotFound"),
        (client(twin, token).conversations.activities(f"{PLACE}-gone").create(MessageActivityInput(text="x")), 403, "ConversationBlockedByUser"),
        (activities.create(MessageActivityInput(text="x" * 60_000)), 413, "MessageSizeTooBig"),
    ):
        try:
            await call
            raise AssertionError(f"{code} passes")
        except httpx.HTTPStatusError as error:
            assert (error.response.status_code, error.response.json()["error"]["code"]) == (status, code), error.response.text


def client(twin, token):
    return ApiClient(twin.api, ClientOptions(token=token))


def rendered(twin):
    """What its types do not know, or would say otherwise, of what we send."""
    for part in PARTS:
        send(f"teams:{PLACE}", "demo-teams", part)
    made = [json.loads(base64.b64decode(r["body"])) for r in twin.calls("by the gateway")]
    assert len(made) >= len(PARTS), made
    cards = 0
    for activity in made:
        same(MessageActivityInput.model_validate(activity), activity)
        for attachment in activity.get("attachments", []):
            if attachment["contentType"] == "application/vnd.microsoft.card.adaptive":
                same_card(attachment["content"])
                cards += 1
    assert cards >= 2, made


#: The types of a card's pieces by their name.
KINDS = {kind.model_fields["type"].default: kind for kind in vars(microsoft_teams.cards).values() if "type" in getattr(kind, "model_fields", {})}


def same_card(card):
    """Its types leave open what stands in a card's lists: each piece is read by its own."""
    lists = {name: card.get(name, []) for name in ("body", "actions")}
    # It writes `schema` where the schema of Adaptive Cards says `$schema`.
    frame = {name: value for name, value in card.items() if name not in lists and name != "$schema"}
    for typed, ours in [(AdaptiveCard, frame)] + [(KINDS[piece["type"]], piece) for pieces in lists.values() for piece in pieces]:
        same(typed.model_validate(ours), ours)


def same(typed, ours):
    # What a button brings back is ours to name.
    strange = [place for place in unknown(typed) if not place.startswith("/data/")]
    assert strange == [], (strange, ours)
    again = typed.model_dump(by_alias=True, exclude_none=True, mode="json")
    assert lost(ours, again) == [], (lost(ours, again), ours)
