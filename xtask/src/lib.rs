//! eBPF toolchain.
