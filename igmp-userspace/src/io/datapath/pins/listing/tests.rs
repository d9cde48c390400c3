use std::fs::{create_dir_all, write};

use tempfile::TempDir;

use super::*;

/// A directory with these empty files; what ends with a slash is an empty directory.
fn directory(paths: &[&str]) -> TempDir {
    let directory = TempDir::new().unwrap();
    for path in paths {
        let full = directory.path().join(path);
        if path.ends_with('/') {
            create_dir_all(full).unwrap();
        } else {
            create_dir_all(full.parent().unwrap()).unwrap();
            write(full, "").unwrap();
        }
    }
    directory
}

#[test]
fn names_say_everything() {
    let directory = directory(&[
        "v2-10/flows",
        "v2-9/flows",
        "v2-9/outputs",
        "v2-9/tc_more",
        "v3-11/what_version_3_has",
        "v1-8/what_version_1_had",
        "links-4096/xdp-native-3",
        "links-4096/xdp-generic-17",
        "links-4096/tc-17",
        "links-18446744073709551615/",
    ]);
    let Listing { links, generations } = list(directory.path()).unwrap();
    let numbers: Vec<_> = generations
        .iter()
        .map(|generation| (generation.layout, generation.number))
        .collect();
    assert_eq!(numbers, [(1, 8), (2, 9), (2, 10), (3, 11)], "oldest first");
    let readable = numbers
        .iter()
        .filter(|(layout, _)| *layout == LAYOUT_VERSION);
    assert_eq!(readable.count(), 2);
    assert_eq!(links.len(), 2);
    let ours = links.iter().find(|links| links.cookie == 4096).unwrap();
    let named = [
        ("xdp-native-3", 3, Hook::XdpNative),
        ("xdp-generic-17", 17, Hook::XdpGeneric),
        ("tc-17", 17, Hook::Tc),
    ];
    assert_eq!(ours.places.len(), named.len());
    for (name, index, hook) in named {
        let interface = IfIndex(index);
        let place = Place { interface, hook };
        assert!(ours.places.contains(&place), "{name}");
        let path = directory.path().join("links-4096").join(name);
        assert_eq!(ours.path_of(place), path);
    }
}

#[test]
fn what_has_another_name_is_somebody_else_s() {
    for foreign in [
        "cake",
        "v1/",
        "v2-/",
        "v2-2-3/",
        "v-1/",
        "v2-4294967296/",
        "links-/",
        "links-1",
        "links-1/xdp-3",
        "links-1/tc",
        "links-1/tc-",
        "links-1/xdp-native--1",
        "v2-1",
        "v2-1/cake",
    ] {
        let directory = directory(&["v2-7/flows", foreign]);
        let path = directory.path().join(foreign.trim_end_matches('/'));
        match list(directory.path()) {
            Err(Error::Foreign(found)) => assert_eq!(found, path),
            other => panic!("{foreign}: {other:?}"),
        }
    }
}

#[test]
fn a_directory_of_pins_goes_with_what_it_holds() {
    let directory = directory(&["v2-7/flows", "v2-7/outputs", "v2-8/flows"]);
    remove(&directory.path().join("v2-7")).unwrap();
    assert!(!directory.path().join("v2-7").exists());
    assert!(directory.path().join("v2-8/flows").exists());
    remove(&directory.path().join("v2-7")).unwrap();
    assert!(is_anything_in(directory.path()));
    assert!(!is_anything_in(&directory.path().join("nowhere")));
}

#[test]
fn the_remedy_names_the_place_to_mount() {
    for (path, place) in [
        ("/sys/fs/bpf/igmpd", "/sys/fs/bpf"),
        ("/sys/fs/bpf/gateways/igmpd", "/sys/fs/bpf"),
        ("/run/bpf/igmpd", "/run/bpf"),
    ] {
        let said = Error::NoBpffs(path.into()).to_string();
        let remedy = format!("run `mount -t bpf bpf {place}`,");
        assert!(said.contains(&remedy), "{said}");
    }
}
