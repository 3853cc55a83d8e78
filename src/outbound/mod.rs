//! Messages out: `accept -> lane -> arm (ledger) -> gate (limits) -> call -> ledger -> status`.

pub mod accept;
pub mod accepted;
pub mod campaigns;
pub mod control;
pub mod fallback;
pub mod holds;
pub mod lane;
pub mod ledger;
pub mod limit;
pub mod owner;
pub mod projector;
pub mod quota;
pub mod replay;
pub mod unit;
