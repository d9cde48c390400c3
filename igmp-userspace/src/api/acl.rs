//! Access lists as they are shown.

use serde::{Deserialize, Serialize};

use ipnet::Ipv4Net;

use crate::proto;

/// An access list.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Acl {
    /// Its number, if it has one.
    pub number: Option<u16>,
    /// Its name, if it has one.
    pub name: Option<String>,
    /// False for a list that a policy names and the configuration does not have.
    pub defined: bool,
    /// Its rules, in the order they are tried.
    pub rules: Vec<AclRule>,
    /// How often no rule matched since the list last changed.
    pub no_match: u64,
    /// The policies that name it, such as `eth1 group_policy`.
    pub used_by: Vec<String>,
}

/// One rule of an [`Acl`].
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct AclRule {
    /// Its number.
    pub sequence: u32,
    /// What it does.
    pub action: Action,
    /// The groups it matches; null = any.
    pub group: Option<Ipv4Net>,
    /// The sources it matches; null = any.
    pub source: Option<Ipv4Net>,
    /// How often it has decided since the list last changed.
    pub hits: u64,
}

/// What a rule does.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// Yes.
    Permit,
    /// No.
    Deny,
}

impl From<proto::Action> for Action {
    fn from(action: proto::Action) -> Self {
        match action {
            proto::Action::Permit => Self::Permit,
            proto::Action::Deny => Self::Deny,
        }
    }
}
