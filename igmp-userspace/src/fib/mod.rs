//! Memberships x roles -> flows and replication sets; pure.
