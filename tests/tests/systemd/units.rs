//! The units as they are installed, looked over by systemd itself.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Command,
};

use aulos_tests::server::{aulosd, project, text};

/// Runs make in the project's folder.
fn make(target: &str, variables: &[String]) {
    let output = Command::new("make")
        .current_dir(project())
        .args(["--silent", target])
        .args(variables)
        .env_remove("MAKEFLAGS")
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
}

/// All files below a folder.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut all = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { all.append(&mut files(&path)) } else { all.push(path) }
    }
    all.sort();
    all
}

/// `systemd-analyze verify` of a unit, which must have nothing to say.
fn verify(room: &Path, words: &[&str], unit: &Path, units: Option<&Path>) {
    let mut command = Command::new("systemd-analyze");
    command.args(words).arg("verify").arg(unit).env("XDG_RUNTIME_DIR", room).env("HOME", room);
    if let Some(units) = units {
        // And the usual places.
        command.env("SYSTEMD_UNIT_PATH", format!("{}:", units.display()));
    }
    let output =
        command.output().unwrap_or_else(|e| panic!("systemd-analyze: {e}; it is installed by make deps"));
    assert_eq!(text(&output.stderr), "", "{}", unit.display());
    assert!(output.status.success(), "{}", unit.display());
}

#[test]
fn every_unit_is_accepted_by_systemd_as_it_is_installed() {
    let room = tempfile::tempdir().unwrap();
    let prefix = room.path().join("usr");
    make("install-units", &[format!("PREFIX={}", prefix.display())]);
    // What the units start must be there. What is in it is not looked at.
    fs::create_dir(prefix.join("bin")).unwrap();
    for program in ["aulosd", "aulos-mcp"] {
        std::os::unix::fs::symlink(aulosd(), prefix.join("bin").join(program)).unwrap();
    }
    let units = files(&prefix.join("share/systemd/user"));
    let names: Vec<_> = units.iter().map(|unit| unit.file_name().unwrap().to_str().unwrap()).collect();
    assert_eq!(names, ["aulos-mcp.service", "aulosd.service", "aulosd.socket"]);
    for unit in &units {
        let said = fs::read_to_string(unit).unwrap();
        assert!(!said.contains('@') || said.contains("@system-service"), "a place was not filled in: {said}");
        assert!(!said.contains("@BINDIR@") && !said.contains("@DOCDIR@"), "{said}");
        assert!(said.starts_with("# "), "{} does not say what it is", unit.display());
        verify(room.path(), &["--user"], unit, None);
    }
    // The check itself finds what is wrong.
    let wrong = room.path().join("wrong.service");
    let said = fs::read_to_string(&units[1]).unwrap().replace("WatchdogSec=20", "WatchdogSec=often");
    fs::write(&wrong, said).unwrap();
    let output = Command::new("systemd-analyze")
        .args(["--user", "verify"])
        .arg(&wrong)
        .env("XDG_RUNTIME_DIR", room.path())
        .output()
        .unwrap();
    assert!(text(&output.stderr).contains("often"), "{}", text(&output.stderr));
}

#[test]
fn the_drop_in_of_the_user_manager_is_accepted_by_systemd() {
    let room = tempfile::tempdir().unwrap();
    let prefix = room.path().join("usr");
    make("install-units", &[format!("PREFIX={}", prefix.display())]);
    let units = room.path().join("units");
    fs::create_dir_all(units.join("user@.service.d")).unwrap();
    let places = ["/usr/lib/systemd/system/user@.service", "/lib/systemd/system/user@.service"];
    let manager = places.iter().find(|place| Path::new(place).exists()).unwrap();
    fs::copy(manager, units.join("user@.service")).unwrap();
    let drop_in = "user@.service.d/25-aulos.conf";
    fs::copy(prefix.join("share/aulos").join(drop_in), units.join(drop_in)).unwrap();
    verify(room.path(), &[], Path::new("user@1000.service"), Some(&units));
    let wrong = fs::read_to_string(units.join(drop_in)).unwrap().replace("LimitNICE=-19", "LimitNICE=low");
    fs::write(units.join(drop_in), wrong).unwrap();
    let output = Command::new("systemd-analyze")
        .args(["verify", "user@1000.service"])
        .env("SYSTEMD_UNIT_PATH", format!("{}:", units.display()))
        .output()
        .unwrap();
    assert!(text(&output.stderr).contains("low"), "the drop-in was not read: {}", text(&output.stderr));
}

#[test]
fn files_go_where_they_are_looked_for() {
    let installed = |prefix: &str| {
        let room = tempfile::tempdir().unwrap();
        make("install-units", &[format!("PREFIX={prefix}"), format!("DESTDIR={}", room.path().display())]);
        let relative = |path: &PathBuf| format!("/{}", path.strip_prefix(room.path()).unwrap().display());
        let all = files(room.path());
        for file in &all {
            assert_eq!(fs::metadata(file).unwrap().permissions().mode() & 0o777, 0o644, "{}", file.display());
        }
        let read = |path: &str| fs::read_to_string(room.path().join(&path[1..])).unwrap();
        let service = read(&format!("{prefix}/share/systemd/user/aulosd.service"));
        assert!(service.contains(&format!("ExecStart={prefix}/bin/aulosd\n")), "{service}");
        let activation = read(&format!("{prefix}/share/dbus-1/services/org.aulos.Server.service"));
        assert!(
            activation.contains("SystemdService=aulosd.service") && activation.contains("Exec=/bin/false")
        );
        all.iter().map(relative).collect::<Vec<_>>()
    };
    for prefix in ["/usr", "/usr/local"] {
        let all = installed(prefix);
        assert!(all.contains(&"/etc/security/limits.d/25-aulos.conf".to_owned()), "{all:?}");
        assert!(all.contains(&"/etc/systemd/system/user@.service.d/25-aulos.conf".to_owned()), "{all:?}");
    }
    // A user has no rights beyond the home folder, and needs none.
    let all = installed("/home/me/.local");
    assert!(all.iter().all(|path| path.starts_with("/home/me/.local/")), "{all:?}");
}
