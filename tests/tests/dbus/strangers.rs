//! Other users, which only root can be for a test.

use std::{
    os::unix::process::CommandExt,
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};

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
    // The bus hangs up before anything is said.
    let refused = bus.busctl_by(as_stranger, &[], words).unwrap_err();
    assert!(refused.contains("not connected"), "{refused}");
}

#[test]
fn a_bus_of_another_user_is_not_served_and_that_is_said() {
    if !is_root() {
        return;
    }
    // A bus that has nothing against it: it lets everybody in, who could then do everything here.
    let bus = Bus::start_by(|daemon| {
        let address = daemon.get_args().find_map(|word| word.to_str()?.strip_prefix("--address=")).unwrap();
        let folder = Path::new(address.strip_prefix("unix:path=").unwrap()).parent().unwrap();
        let config = folder.join("open.conf");
        let said = format!(
            "<busconfig><type>session</type><listen>{address}</listen><auth>EXTERNAL</auth>\
             <policy context=\"default\"><allow user=\"*\"/><allow own=\"*\"/>\
             <allow send_destination=\"*\" eavesdrop=\"true\"/><allow eavesdrop=\"true\"/></policy></busconfig>"
        );
        std::fs::write(&config, said).unwrap();
        std::os::unix::fs::chown(folder, Some(STRANGER), Some(STRANGER)).unwrap();
        let mut open = Command::new("dbus-daemon");
        open.args(["--nofork", "--nopidfile", "--nosyslog", "--print-address=1"])
            .arg(format!("--config-file={}", config.display()))
            .stdout(Stdio::piped());
        as_stranger(&mut open);
        *daemon = open;
    });
    // Root's own clients are let in.
    assert!(bus.busctl_says(&[], ["list"]).is_ok());
    let mut server = bus.spawn(["--driver", "stepped"]);
    server.answering();
    let begun = std::time::Instant::now();
    while !server.log().contains("it is of user 65534, the server of user 0") {
        assert!(begun.elapsed().as_secs() < 60, "{}", server.log());
        std::thread::sleep(Duration::from_millis(20));
    }
    assert!(!bus.has_owner(NAME));
}
