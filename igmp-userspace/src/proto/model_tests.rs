//! Random histories against two models: one that does what the RFC's tables say in the simplest way, and one of hosts
//! that follow RFC 9776 section 5 and must never miss what they asked for.

mod history;
mod hosts;
mod random;
mod reference;
mod reference_group;
mod tables;
