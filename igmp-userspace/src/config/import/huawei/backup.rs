//! Remote backup profiles, as a comment: the role and the keys are not in the file.

use super::interface::Interface;
use super::views::View;
use crate::config::import::document::{Document, texts};

/// Writes each `remote-backup-profile` as the section it would become.
pub(super) fn write(out: &mut Document, views: &[View<'_>], interfaces: &[Interface<'_>]) {
    for view in views {
        let ["remote-backup-profile", name] = view.head.words[..] else {
            continue;
        };
        out.gap();
        out.warn(
            view.head.number,
            format!("remote-backup-profile {name} is a comment: give it a role, and keys made by `igmpctl backup keygen`"),
        );
        out.comment("[[remote_backup_profile]]");
        out.comment(&format!("name = {}", toml::Value::from(name)));
        let service = view.body.iter().find_map(|line| match line.words[..] {
            ["backup-id", _, "remote-backup-service", service] => Some(service),
            _ => None,
        });
        if let Some((local, peer, port)) = service.and_then(|service| addresses(views, service)) {
            out.comment(&format!("listen = \"{local}:{port}\""));
            out.comment(&format!("peer = \"{peer}:{port}\""));
        }
        let members = interfaces
            .iter()
            .filter(|interface| interface.backup == Some(name));
        out.comment(&format!(
            "interfaces = {}",
            texts(members.map(|interface| &interface.name))
        ));
        let copies = view
            .body
            .iter()
            .find(|line| line.words.contains(&"dhcp-stb"));
        if let Some(line) = copies {
            let is_off =
                line.words.first() == Some(&"undo") || line.words.last() == Some(&"disable");
            out.comment(&format!(
                "dhcp_stb_igmp_copy = {}  # line {}",
                !is_off, line.number
            ));
        }
    }
}

/// `peer A source B port P` of a remote-backup-service: own address, the peer's, port.
fn addresses<'a>(views: &[View<'a>], service: &str) -> Option<(&'a str, &'a str, &'a str)> {
    let view = views
        .iter()
        .find(|view| view.head.words == ["remote-backup-service", service])?;
    view.body.iter().find_map(|line| match line.words[..] {
        ["peer", peer, "source", local, "port", port] => Some((local, peer, port)),
        _ => None,
    })
}
