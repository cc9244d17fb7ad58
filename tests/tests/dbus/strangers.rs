//! Other users, which only root can be for a test.

use std::{os::unix::process::CommandExt, process::Command, time::Duration};

use aulos_tests::{
    bus::{Bus, NAME},
    server::{STRANGER, open_folder},
};

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

fn as_stranger(command: &mut Command) {
    command.uid(STRANGER).gid(STRANGER);
}

#[test]
fn the_bus_lets_no_other_user_in() {
    if !is_root() {
        return;
    }
    let bus = Bus::start();
    let _server = bus.server(["--driver", "stepped"]);
    open_folder(bus.folder());
    let words = ["get-property", NAME, "/org/aulos/Server", "org.aulos.Manager1", "Pid"];
    assert!(bus.busctl_by(|_| {}, &[], words).is_ok());
    let refused = bus.busctl_by(as_stranger, &[], words).unwrap_err();
    assert!(refused.to_lowercase().contains("permission denied") || refused.contains("refused"), "{refused}");
}

#[test]
fn a_bus_of_another_user_is_not_served_and_that_is_said() {
    if !is_root() {
        return;
    }
    // Root is let in everywhere, so the bus itself has nothing against it.
    let bus = Bus::start_by(|daemon| {
        let address = daemon.get_args().find_map(|word| word.to_str()?.strip_prefix("--address=unix:path="));
        let folder = std::path::Path::new(address.unwrap()).parent().unwrap().to_owned();
        std::os::unix::fs::chown(folder, Some(STRANGER), Some(STRANGER)).unwrap();
        as_stranger(daemon);
    });
    let mut server = bus.spawn(["--driver", "stepped"]);
    server.answering();
    let begun = std::time::Instant::now();
    while !server.log().contains("it is of user 65534, the server of user 0") {
        assert!(begun.elapsed().as_secs() < 60, "{}", server.log());
        std::thread::sleep(Duration::from_millis(20));
    }
    assert!(!bus.has_owner(NAME));
}
