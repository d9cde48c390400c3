//! Addresses and networks as people write them: groups here, sources there, and never the one for the other.

use std::net::Ipv4Addr;

use ipnet::Ipv4Net;

use super::error::Problem;

/// Every multicast group (RFC 5771).
pub(super) const ALL_GROUPS: Ipv4Net = Ipv4Net::new_assert(Ipv4Addr::new(224, 0, 0, 0), 4);

/// A network of sources, always with its prefix length.
pub(super) fn parse_source_network(text: &str) -> Result<Ipv4Net, Problem> {
    let network: Ipv4Net = text.parse().map_err(|_| {
        Problem::new(
            format!("\"{text}\" is no IPv4 network"),
            "write ADDRESS/PREFIX, such as \"10.0.0.0/23\"; one host is /32",
        )
    })?;
    check_host_bits(text, network)?;
    if network.addr().is_multicast() {
        return Err(Problem::new(
            format!("\"{text}\" is multicast"),
            "name the networks of the sources, not the groups",
        ));
    }
    Ok(network)
}

/// Sources: one address or a network of them.
pub(super) fn parse_sources(text: &str) -> Result<Ipv4Net, Problem> {
    match text.parse::<Ipv4Addr>() {
        Ok(address) => parse_source_network(&format!("{address}/32")),
        Err(_) => parse_source_network(text),
    }
}

/// Groups: one address or a network of them.
pub(super) fn parse_groups(text: &str) -> Result<Ipv4Net, Problem> {
    let network = match text.parse::<Ipv4Addr>() {
        Ok(address) => Ipv4Net::from(address),
        Err(_) => text.parse::<Ipv4Net>().map_err(|_| {
            Problem::new(
                format!("\"{text}\" is neither a group nor a network of groups"),
                "write ADDRESS or ADDRESS/PREFIX, such as \"239.1.0.0/16\"",
            )
        })?,
    };
    check_host_bits(text, network)?;
    if !ALL_GROUPS.contains(&network) {
        return Err(not_multicast(text));
    }
    Ok(network)
}

/// One group.
pub(super) fn parse_group(text: &str) -> Result<Ipv4Addr, Problem> {
    let group: Ipv4Addr = text.parse().map_err(|_| {
        Problem::new(
            format!("\"{text}\" is no group"),
            "write one address, such as \"239.1.1.1\"",
        )
    })?;
    if group.is_multicast() {
        Ok(group)
    } else {
        Err(not_multicast(text))
    }
}

/// One source.
pub(super) fn parse_source(text: &str) -> Result<Ipv4Addr, Problem> {
    text.parse()
        .ok()
        .filter(|source: &Ipv4Addr| {
            !(source.is_multicast() || source.is_unspecified() || source.is_broadcast())
        })
        .ok_or_else(|| {
            Problem::new(
                format!("\"{text}\" is no source"),
                "write the address of one host, such as \"10.0.0.5\"",
            )
        })
}

fn not_multicast(text: &str) -> Problem {
    Problem::new(
        format!("\"{text}\" is not multicast"),
        "groups are 224.0.0.0 to 239.255.255.255",
    )
}

fn check_host_bits(text: &str, network: Ipv4Net) -> Result<(), Problem> {
    if network.addr() == network.network() {
        return Ok(());
    }
    let remedy = format!("write \"{}\"", network.trunc());
    Err(Problem::new(
        format!("\"{text}\" has host bits set"),
        remedy,
    ))
}
