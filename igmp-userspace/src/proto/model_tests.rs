//! Random histories against models: one that does what the RFC's tables say in the simplest way, one of hosts that follow
//! RFC 9776 section 5 and must never miss what they asked for, and a pair of gateways that must never differ.

mod history;
mod hosts;
mod random;
mod reference;
mod reference_group;
mod standby;
mod subject;
mod tables;
mod take_over;
mod trial;
