//! What ARCHITECTURE.md says of the structure.

use std::{collections::BTreeSet, process::Command};

use aulos_tests::server::{project, text};

/// The crates that `package` is built from, itself included.
fn dependencies(package: &str) -> BTreeSet<String> {
    let output = Command::new(env!("CARGO"))
        .current_dir(project())
        .args([
            "tree",
            "--offline",
            "--edges",
            "normal",
            "--prefix",
            "none",
            "--format",
            "{p}",
            "-p",
            package,
        ])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    text(&output.stdout).lines().filter_map(|line| Some(line.split(' ').next()?.to_owned())).collect()
}

fn assert_without(package: &str, crates: &[&str]) {
    let found = dependencies(package);
    assert!(found.contains(package));
    for name in crates {
        assert!(!found.contains(*name), "{package} depends on {name}");
    }
}

const OWN: [&str; 7] =
    ["aulos-protocol", "aulos-nodes", "aulos-engine", "aulos-server", "aulos-ctl", "aulos-osc", "aulos-mcp"];

#[test]
fn dependencies_point_one_way() {
    for (package, may) in [
        ("aulos-protocol", &[][..]),
        ("aulos-nodes", &["aulos-protocol"]),
        ("aulos-engine", &["aulos-protocol", "aulos-nodes"]),
        ("aulos-server", &["aulos-protocol", "aulos-nodes", "aulos-engine", "aulos-osc"]),
        ("aulos-ctl", &["aulos-protocol"]),
        ("aulos-osc", &["aulos-protocol"]),
        ("aulos-mcp", &["aulos-protocol", "aulos-nodes"]),
    ] {
        let found = dependencies(package);
        for own in OWN.iter().filter(|own| **own != package) {
            assert_eq!(found.contains(*own), may.contains(own), "{package} and {own}");
        }
    }
}

#[test]
fn the_engine_knows_no_runtime_socket_or_file_format() {
    for package in ["aulos-engine", "aulos-nodes"] {
        assert_without(
            package,
            &["tokio", "zbus", "symphonia", "hound", "flacenc", "rustix", "clap", "tracing"],
        );
    }
}

#[test]
fn the_engine_reads_no_clock_environment_or_file() {
    let sources = ["engine/src", "nodes/src"];
    for folder in sources {
        let found = Command::new("grep")
            .current_dir(project())
            .args(["-rnE", r"std::(env|fs|net|process|time|thread)|Instant::now|SystemTime", folder])
            .output()
            .unwrap();
        assert_eq!(text(&found.stdout), "", "{folder}");
        assert_eq!(found.status.code(), Some(1), "grep itself failed");
    }
}

#[test]
fn the_server_loads_no_plugins() {
    assert_without("aulos-server", &["livi", "lilv", "clack-host", "clap-sys", "vst3"]);
}

/// What loads libraries at run time is there for the JACK library alone.
#[test]
fn only_the_jack_library_is_loaded_at_run_time() {
    let output = Command::new(env!("CARGO"))
        .current_dir(project())
        .args(["tree", "--offline", "--edges", "normal", "--prefix", "none", "--format", "{p}"])
        .args(["--depth", "1", "-p", "aulos-server", "-i", "libloading"])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    let text = text(&output.stdout);
    let users: Vec<_> = text.lines().filter_map(|line| line.split(' ').next()).collect();
    assert_eq!(users, ["libloading", "jack-sys"]);
}

#[test]
fn unsafe_code_is_in_the_named_modules_only() {
    let found = Command::new("grep")
        .current_dir(project())
        .args(["-rlE", r"allow\(unsafe_code\)", "--include=*.rs"])
        .args(["protocol", "nodes", "engine", "server", "ctl"])
        .output()
        .unwrap();
    let files = text(&found.stdout);
    let mut files: Vec<_> = files.lines().collect();
    files.sort_unstable();
    // Of the server only what has no safe binding: latencies and the end of a JACK server.
    let named =
        ["engine/src/audio/denormals.rs", "engine/src/audio/slot.rs", "server/src/drivers/jack/calls.rs"];
    assert_eq!(files, named);
}
