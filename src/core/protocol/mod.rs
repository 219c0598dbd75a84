//! What travels: frames and messages between clients and nodes ([`client`]), and between nodes
//! ([`peer`]). Both codecs are total: any bytes give a value or an error, within stated bounds.

pub mod client;
pub mod peer;
