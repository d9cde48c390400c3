#![no_std]
//! What igmpd's kernel programs and userspace share.
