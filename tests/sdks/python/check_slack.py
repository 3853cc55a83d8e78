"""slack_sdk: its signatures both ways, its client against the twin, its types on the blocks we render."""

import base64
import json
import time

from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError
from slack_sdk.http_retry.builtin_handlers import RateLimitErrorRetryHandler
from slack_sdk.models.blocks import Block
from slack_sdk.signature import SignatureVerifier

from world import PARTS, Twin, send


def check():
    twin = Twin("slack")
    team, place = twin.settings["team_id"], "D0SDK0201"
    twin.act(person=f"slack:{team}/{place}", text="Slack says hello")
    headers, body = twin.webhook("Slack says")
    verifier = SignatureVerifier(twin.settings["signing_secret"])
    assert verifier.is_valid_request(body, headers)
    assert not verifier.is_valid_request(body.replace(b"hello", b"hullo"), headers)
    assert not SignatureVerifier("fake-other").is_valid_request(body, headers)

    event = json.loads(body)
    event["event_id"] = "Ev0SDK0201"
    event["event"] |= {"text": "SDK signed", "ts": f"{int(time.time())}.000201", "client_msg_id": "sdk-0201"}
    body, stamp = json.dumps(event).encode(), str(int(time.time()))
    headers = {"content-type": "application/json", "x-slack-request-timestamp": stamp}
    headers["x-slack-signature"] = verifier.generate_signature(timestamp=stamp, body=body)
    twin.signed(headers, body, "signed")

    def client_of(token):
        client = WebClient(token, base_url=f"{twin.api}/api/")
        client.retry_handlers.append(RateLimitErrorRetryHandler(max_retry_count=3))
        return client

    client = client_of(twin.settings["bot_token"])
    assert client.auth_test()["team_id"] == team
    sent = client.chat_postMessage(channel=place, text="by the SDK")
    assert sent["ok"] and sent["ts"] and sent["channel"] == place
    for token, code in ((twin.settings["bot_token"], "channel_not_found"), ("fake", "invalid_auth")):
        try:
            client_of(token).chat_postMessage(channel="nowhere", text="x")
            raise AssertionError(f"{code} passes")
        except SlackApiError as error:
            assert error.response["error"] == code, error

    send(f"slack:{team}/{place}", "demo-slack", *PARTS)
    made = [json.loads(base64.b64decode(r["body"])) for r in twin.calls("by the gateway") if r["url"].endswith("chat.postMessage")]
    blocks = [block for message in made for block in message.get("blocks", [])]
    assert blocks
    for block in blocks:
        parsed = Block.parse(block)
        assert parsed is not None and parsed.to_dict()["type"] == block["type"], block
