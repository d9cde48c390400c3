//! The connections to other gateways, and the keys that they take.

pub mod keygen;
pub mod link;
pub mod peers;
pub mod tls;
