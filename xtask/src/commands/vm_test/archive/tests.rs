use super::*;

/// Names as the archives have them.
fn names() -> Vec<String> {
    [
        "linux-image-5.10.0-46-cloud-amd64",
        "linux-image-5.15.0-25-generic",
        "linux-image-5.15.0-119-generic",
        "linux-image-5.15.0-119-generic-64k",
        "linux-image-5.14.0-1059-oem",
        "linux-image-6.1-cloud-amd64",
        "linux-image-6.1.0-9-cloud-amd64",
        "linux-image-6.1.0-56-amd64",
        "linux-image-6.1.0-56-cloud-amd64",
        "linux-image-6.1.0-56-cloud-amd64-dbg",
        "linux-image-6.1.0-56-cloud-amd64-unsigned",
        "linux-image-6.1.0-1036-oem",
        "linux-image-6.12.117+deb12-cloud-amd64",
        "linux-image-7.3.4+deb13-cloud-amd64",
        "linux-image-cloud-amd64",
        "linux-image-generic",
        "linux-modules-5.15.0-119-generic",
        "linux-modules-7.3.4+deb13-cloud-amd64",
        "linux-binary-7.3.4+deb13-cloud-amd64",
        "linux-binary-unsigned-7.3.4+deb13-cloud-amd64",
    ]
    .map(str::to_owned)
    .into()
}

#[test]
fn a_version_means_its_newest_kernel() {
    let names = names();
    for (wanted, package) in [
        ("5.15", Some("linux-image-5.15.0-119-generic")),
        ("5.14", Some("linux-image-5.14.0-1059-oem")),
        // The cloud kernel where there is one, and 6.12 is no 6.1.
        ("6.1", Some("linux-image-6.1.0-56-cloud-amd64")),
        ("6.1.0-9", Some("linux-image-6.1.0-9-cloud-amd64")),
        ("6", Some("linux-image-6.12.117+deb12-cloud-amd64")),
        ("newest", Some("linux-image-7.3.4+deb13-cloud-amd64")),
        ("5.1", None),
        ("cloud", None),
    ] {
        assert_eq!(choose(&names, wanted), package, "{wanted}");
    }
}

#[test]
fn a_package_means_itself() {
    let names = names();
    let package = "linux-image-5.15.0-25-generic";
    assert_eq!(choose(&names, package), Some(package));
    assert_eq!(choose(&names, "linux-image-5.15.0-26-generic"), None);
}

#[test]
fn a_kernel_in_parts_comes_whole() {
    let names = names();
    let companions = |package| companions(&names, package).collect::<Vec<_>>();
    assert!(companions("linux-image-6.1.0-56-cloud-amd64").is_empty());
    assert_eq!(
        companions("linux-image-5.15.0-119-generic"),
        ["linux-modules-5.15.0-119-generic"]
    );
    assert_eq!(
        companions("linux-image-7.3.4+deb13-cloud-amd64"),
        [
            "linux-modules-7.3.4+deb13-cloud-amd64",
            "linux-binary-7.3.4+deb13-cloud-amd64"
        ]
    );
}
