//! End-to-end stories: the real binary, the twins, and books that must balance.
#![allow(missing_docs, reason = "tests")]

mod bad_input;
mod campaign;
mod cluster;
mod consent;
mod crash;
mod deploy;
mod discord;
mod egress;
mod flow;
mod house;
mod limits;
mod links;
mod mail;
mod media;
mod outage;
mod push;
mod smpp;
mod waiting;
mod webhooks;
mod world;
mod world_twin;
