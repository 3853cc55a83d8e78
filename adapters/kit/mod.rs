//! What several providers need. No provider's name stands here.

pub mod address;
pub mod aes;
pub mod borrow;
pub mod choices;
pub mod crypto;
pub mod form;
pub mod google;
pub mod gsm;
pub mod handed;
pub mod hub;
pub mod inbox;
pub mod jwt;
pub mod markup;
pub mod md5;
pub mod multipart;
pub mod oauth1;
pub mod object;
pub mod push;
pub mod revise;
pub mod sample;
pub mod spoken;
pub mod text;
pub mod tokens;
pub mod websocket;
pub mod words;
pub mod xml;
