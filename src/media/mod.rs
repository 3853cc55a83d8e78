//! Media: fetched before the provider's link expires, kept, served.

pub mod blobs;
pub mod fetch;
pub mod links;
