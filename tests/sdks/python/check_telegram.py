"""python-telegram-bot: its client against the twin, its types on the twin's webhooks and on what we render."""

import asyncio
import base64
import json

import telegram
from telegram.error import BadRequest, InvalidToken, RetryAfter

from world import PARTS, Twin, send

PERSON = 5550201


async def patiently(call, *args, **kwargs):
    """Waits as long as the SDK reads that it must."""
    for _ in range(5):
        try:
            return await call(*args, **kwargs)
        except RetryAfter as error:
            await asyncio.sleep(float(getattr(error.retry_after, "seconds", error.retry_after)) + 0.1)
    raise AssertionError("it never went through")


async def client(twin):
    urls = {"base_url": f"{twin.api}/bot", "base_file_url": f"{twin.api}/file/bot"}
    async with telegram.Bot(twin.settings["bot_token"], **urls) as bot:
        sent = await patiently(bot.send_message, PERSON, "by the SDK <b>bold</b>", parse_mode="HTML")
        assert sent.chat.id == PERSON and sent.message_id > 0 and "by the SDK" in sent.text
        buttons = telegram.InlineKeyboardMarkup([[telegram.InlineKeyboardButton("Yes", callback_data="sdk-pick")]])
        assert (await patiently(bot.send_message, PERSON, "?", reply_markup=buttons)).message_id > sent.message_id
        assert (await patiently(bot.send_photo, PERSON, "https://media.example.org/a.png", caption="x")).photo
        assert (await patiently(bot.send_location, PERSON, 40.41, -3.7)).location.latitude == 40.41
        assert await bot.send_chat_action(PERSON, "typing")
        try:
            await patiently(bot.send_message, PERSON, "x" * 4097)
            raise AssertionError("4097 characters pass")
        except BadRequest as error:
            assert "too long" in str(error)
    try:
        async with telegram.Bot("123:fake", **urls):
            raise AssertionError("a wrong token passes")
    except InvalidToken:
        pass


def check():
    twin = Twin("telegram")
    twin.act(person=f"telegram:{PERSON}", text="Telegram says hello")
    _, body = twin.webhook("Telegram says")
    update = telegram.Update.de_json(json.loads(body))
    assert update.message.text == "Telegram says hello" and update.effective_chat.id == PERSON and not update.message.api_kwargs, update
    asyncio.run(client(twin))
    twin.act(person=f"telegram:{PERSON}", pick="sdk-pick", title="Yes")
    _, body = twin.webhook("sdk-pick")
    update = telegram.Update.de_json(json.loads(body))
    assert update.callback_query.data == "sdk-pick" and update.callback_query.message, update

    send(f"telegram:{PERSON}", "demo-telegram", *PARTS)
    made = [json.loads(base64.b64decode(r["body"])) for r in twin.calls("by the gateway")]
    keyboards = [telegram.InlineKeyboardMarkup.de_json(m["reply_markup"]) for m in made if "inline_keyboard" in m.get("reply_markup", {})]
    assert [b.callback_data for b in keyboards[0].inline_keyboard[0] + keyboards[0].inline_keyboard[-1]][0] == "yes"
