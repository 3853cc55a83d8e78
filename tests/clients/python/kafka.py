"""Records of a topic, read with a Kafka client and parsed by the CloudEvents SDK."""

import json
import sys
import time

from cloudevents.core.bindings.kafka import KafkaMessage, from_binary_event, from_structured_event
from confluent_kafka import OFFSET_BEGINNING, Consumer, TopicPartition

brokers, topic, mode, expected = sys.argv[1:]
consumer = Consumer({"bootstrap.servers": brokers, "group.id": "nobody", "enable.auto.commit": False})
partitions = consumer.list_topics(topic, 10).topics[topic].partitions
consumer.assign([TopicPartition(topic, partition, OFFSET_BEGINNING) for partition in partitions])
expected, texts, end = json.loads(expected), [], time.monotonic() + 30
while len(texts) < len(expected) and time.monotonic() < end:
    record = consumer.poll(1.0)
    if record is None:
        continue
    assert record.error() is None, record.error()
    headers = dict(record.headers())
    assert headers["content-type"].startswith(b"application/cloudevents+json") == (mode == "structured"), headers
    read = from_structured_event if mode == "structured" else from_binary_event
    event = read(KafkaMessage(headers=headers, key=record.key(), value=record.value()))
    data = event.get_data()
    assert event.get_id().startswith("evt_") and event.get_specversion() == "1.0"
    assert event.get_type() == "fairway.message.received" and event.get_source() == "/channels/demo-telegram"
    assert event.get_subject() == data["conversation"] == record.key().decode() == "demo-telegram/telegram:5550003"
    assert event.get_datacontenttype() == "application/json" and event.get_time().tzinfo is not None
    texts.append(data["message"]["parts"][0]["text"])
consumer.close()
assert texts == expected, texts
