//! `{prefix}.send`: other programs' send requests, the second way in.

use std::{sync::Arc, time::Duration};

use fairway_adapters::contract::event::Origin;
use fairway_adapters::contract::{ErrorClass, Reason, SendRequest, State, Status};

use crate::clock;
use crate::envelope::{Attributes, Writer};
use crate::ids;
use crate::log::{Durability, EventLog, Position, Positions, Stored, Topic};
use crate::outbound::accept::{Acceptor, Act, Ready, Refused};

/// The name of its position.
const NAME: &str = "send";

/// Runs until the process ends.
pub async fn run(log: Arc<dyn EventLog>, acceptor: Acceptor, writer: Writer) {
    let mut reader = log.reader();
    let committed = loop {
        match (log.committed(NAME).await, log.begins(Topic::Send).await, log.ends(Topic::Send).await) {
            (Ok(committed), Ok(begins), Ok(ends)) => break (committed, begins, ends),
            _ => tokio::time::sleep(Duration::from_secs(1)).await,
        }
    };
    let (committed, begins, ends) = committed;
    for partition in 0..log.partitions(Topic::Send) {
        let begin = begins.get(&partition).copied().unwrap_or(0);
        let offset = committed.get(&partition).copied().unwrap_or(begin).max(begin);
        reader.assign(Position { topic: Topic::Send, partition, offset });
    }
    loop {
        let records = match reader.next(256).await {
            Ok(records) => records,
            Err(e) => {
                tracing::warn!(error = %e, "send requests cannot be read now");
                tokio::time::sleep(Duration::from_secs(1)).await;
                continue;
            }
        };
        // What lay there at the start may have been taken before a crash: its owner looks it up.
        let again = records.iter().any(|r| ends.get(&r.at.partition).is_some_and(|end| r.at.offset < *end));
        let mut ready: Vec<Ready> = Vec::new();
        let mut refused = Vec::new();
        let mut positions = Positions::new();
        for record in &records {
            positions.insert(record.at.partition, record.at.offset + 1);
            match prepare(&acceptor, record).await {
                Ok(message) => ready.push(message),
                Err(e) => refused.push(refusal(&writer, record, &e)),
            }
        }
        acceptor.append_all(ready, again).await;
        while !refused.is_empty() {
            let outcomes = log.append(refused.clone(), Durability::Log).await;
            refused = refused.into_iter().zip(outcomes).filter(|(_, o)| !o.is_durable()).map(|(r, _)| r).collect();
            if !refused.is_empty() {
                tokio::time::sleep(Duration::from_millis(500)).await;
            }
        }
        if let Err(e) = log.commit(NAME, positions).await {
            tracing::warn!(error = %e, "the position of the send topic cannot be kept; derived ids make a repeat harmless");
        }
    }
}

async fn prepare(acceptor: &Acceptor, record: &Stored) -> Result<Ready, Refused> {
    let unreadable = |e: &dyn std::fmt::Display| Refused {
        pointer: "#".into(),
        code: "malformed",
        detail: format!("not a send request: {e}"),
        until: None,
    };
    let mut request: SendRequest = serde_json::from_slice(&record.value).map_err(|e| unreadable(&e))?;
    let key = record.headers.get("idempotency-key").map(str::to_owned);
    request.idempotency_key = key.clone().or(request.idempotency_key);
    let (partition, offset) = (record.at.partition.to_le_bytes(), record.at.offset.to_le_bytes());
    let by_key = key.as_ref().map(|k| [b"send-key".as_slice(), k.as_bytes()]);
    let by_place = [b"send".as_slice(), &partition, &offset];
    let act = by_key.as_ref().map_or(Act::Named(&by_place), |parts| Act::Named(parts));
    acceptor.prepare(request, Origin::Api, act, record.headers.get("traceparent")).await
}

/// A refused request answers by a `failed` status with its key as `correlationid`.
fn refusal(writer: &Writer, record: &Stored, refused: &Refused) -> crate::log::Record {
    let at = clock::now();
    let request: Option<SendRequest> = serde_json::from_slice(&record.value).ok();
    let channel = request.as_ref().and_then(|r| r.channel.clone()).unwrap_or_else(|| "unknown".into());
    let to = request.as_ref().and_then(|r| r.to.clone().or(r.conversation.clone())).unwrap_or_default();
    let (partition, offset) = (record.at.partition.to_le_bytes(), record.at.offset.to_le_bytes());
    let id = ids::fingerprint(&[b"send-refused", &partition, &offset]);
    let reason = Reason::new(ErrorClass::Content, refused.code, format!("{}: {}", refused.pointer, refused.detail));
    let data = serde_json::json!({
        "channel": channel, "provider": "unknown", "medium": "unknown", "conversation": format!("{channel}/{to}"), "received_at": at,
    });
    let status = Status {
        message_id: ids::text("msg_", id).into(),
        provider_message_id: None,
        state: State::Failed,
        detail: None,
        at,
        attempt: None,
        recipient: None,
        error: Some(reason),
        reason: None,
        until: None,
        late: None,
        cost: None,
        metadata: None,
        campaign: None,
        reminder: None,
        fallback_of: None,
        units: None,
    };
    let mut value = serde_json::to_value(&status).unwrap_or_default();
    if let (Some(into), Some(from)) = (value.as_object_mut(), data.as_object()) {
        into.extend(from.clone());
    }
    let conversation = format!("{channel}/{to}");
    let attributes = Attributes {
        id,
        kind: "fairway.message.status",
        channel: &channel,
        conversation: &conversation,
        time: at,
        tenant: None,
        traceparent: record.headers.get("traceparent"),
        correlation: record.headers.get("idempotency-key"),
        replaces: None,
    };
    writer.record(Topic::Status, &attributes, serde_json::to_vec(&value).unwrap_or_default().into())
}
