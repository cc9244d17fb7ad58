//! The units as they are installed, looked over by systemd itself, and what they start.

use std::{
    ffi::OsStr,
    fs,
    io::{Read, Write},
    net::TcpStream,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use aulos_tests::{
    bus::Bus,
    server::{aulos_mcp, aulosctl, aulosd, project, text},
};

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

/// Installs everything, with the programs that the tests run in place of those of a build for release.
fn install(room: &Path, variables: &[String]) {
    let target = room.join("target");
    fs::create_dir_all(target.join("release")).unwrap();
    for program in [aulosd(), aulosctl(), aulos_mcp()] {
        let link = target.join("release").join(program.file_name().unwrap());
        std::os::unix::fs::symlink(program, link).unwrap();
    }
    let own = ["CARGO=true".to_owned(), format!("CARGO_TARGET_DIR={}", target.display())];
    make("install", &[&own, variables].concat());
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
    install(room.path(), &[format!("PREFIX={}", prefix.display())]);
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

/// A process that is ended with the test.
struct Started(Child);

impl Drop for Started {
    fn drop(&mut self) {
        self.0.kill().and_then(|()| self.0.wait()).unwrap();
    }
}

/// Starts `aulos-mcp` with a room of its own for what a user has while it is logged in, and answers with the port at
/// which it serves.
fn start_mcp(room: &Path, words: &[String]) -> (Started, u16) {
    let log = room.join("log");
    let child = Command::new(&words[0])
        .args(&words[1..])
        .env_clear()
        .envs([("XDG_RUNTIME_DIR", room.as_os_str()), ("AULOS_LOG", OsStr::new("info"))])
        .stdin(Stdio::null())
        .stderr(fs::File::create(&log).unwrap())
        .spawn()
        .unwrap();
    let started = Started(child);
    let begun = Instant::now();
    loop {
        let said = fs::read_to_string(&log).unwrap();
        let port = said.split_once("serving http://127.0.0.1:").and_then(|(_, rest)| rest.split_once("/mcp"));
        if let Some((port, _)) = port {
            return (started, port.parse().unwrap());
        }
        assert!(begun.elapsed().as_secs() < 60, "{said}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// The number with which a request is answered.
fn asked(port: u16, token: &str) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    let request = format!(
        "POST /mcp HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nAuthorization: Bearer {token}\r\nContent-Length: 2\r\n\
         Connection: close\r\n\r\n{{}}"
    );
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer.split(' ').nth(1).unwrap_or_default().to_owned()
}

#[test]
fn what_the_unit_starts_for_agents_serves_where_the_docs_say() {
    let room = tempfile::tempdir().unwrap();
    let prefix = room.path().join("usr");
    install(room.path(), &[format!("PREFIX={}", prefix.display())]);
    let unit = fs::read_to_string(prefix.join("share/systemd/user/aulos-mcp.service")).unwrap();
    let line = unit.lines().find_map(|line| line.strip_prefix("ExecStart=")).unwrap();
    let docs = fs::read_to_string(project().join("docs/mcp.md")).unwrap();
    for part in ["http://127.0.0.1:8765/mcp", "$XDG_RUNTIME_DIR/aulos/mcp-token"] {
        assert!(docs.contains(part), "{part}");
    }
    assert!(line.contains(" --http 127.0.0.1:8765 "), "{line}");
    // As it is there, but at a port that nobody has.
    let line = line.replace("%t", room.path().to_str().unwrap()).replace(":8765", ":0");
    let words: Vec<_> = line.split(' ').map(str::to_owned).collect();
    assert_eq!(words[0], prefix.join("bin/aulos-mcp").to_str().unwrap());
    let (_mcp, port) = start_mcp(room.path(), &words);
    let file = room.path().join("aulos/mcp-token");
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    let token = fs::read_to_string(&file).unwrap();
    assert_eq!(asked(port, "another"), "401");
    assert_ne!(asked(port, token.trim()), "401");
    // It is where it would be without being said.
    let other = tempfile::tempdir().unwrap();
    let words = [&words[0], "--http", "127.0.0.1:0"].map(str::to_owned);
    let _mcp = start_mcp(other.path(), &words);
    assert!(other.path().join("aulos/mcp-token").exists());
}

/// A server that a bus has started.
struct Activated<'a>(&'a Bus);

impl Drop for Activated<'_> {
    fn drop(&mut self) {
        // It may have ended with the test that fails.
        self.0.call("", "Manager1", "Shutdown", "a{sv} 1 discard b true").ok();
    }
}

#[test]
fn a_call_over_the_bus_starts_the_server_and_is_answered() {
    let room = tempfile::tempdir().unwrap();
    let services = room.path().join("share/dbus-1/services");
    make("install-units", &[format!("PREFIX={}", room.path().display())]);
    // A bus without systemd starts it by itself.
    let file = services.join("org.aulos.Server.service");
    let said = fs::read_to_string(&file).unwrap();
    let command = format!(
        "Exec=/usr/bin/env AULOS_OSC=off AULOS_CONFIG= XDG_STATE_HOME={room}/state {} --socket {room}/control.sock \
         --driver stepped\n",
        aulosd().display(),
        room = room.path().display()
    );
    let said = said.replace("Exec=/bin/false\n", &command).replace("SystemdService=aulosd.service\n", "");
    assert!(said.contains(&command), "{said}");
    fs::write(&file, said).unwrap();
    let bus = Bus::start_by(|daemon| {
        daemon.env("XDG_DATA_HOME", room.path().join("share"));
    });
    assert!(!bus.has_owner(aulos_tests::bus::NAME));
    let activated = Activated(&bus);
    let told = bus.call("", "Manager1", "Status", "").unwrap();
    assert_eq!(told["driver"]["data"]["name"]["data"], "stepped");
    assert!(room.path().join("control.sock").exists());
    drop(activated);
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
        let service = read(&format!("{prefix}/share/systemd/user/aulos-mcp.service"));
        assert!(service.contains(&format!("ExecStart={prefix}/bin/aulos-mcp ")), "{service}");
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

#[test]
fn an_installation_is_whole_and_of_the_prefix_alone() {
    let room = tempfile::tempdir().unwrap();
    let package = room.path().join("package");
    install(room.path(), &["PREFIX=/usr".to_owned(), format!("DESTDIR={}", package.display())]);
    for file in [
        "usr/bin/aulosd",
        "usr/bin/aulosctl",
        "usr/bin/aulos-mcp",
        "usr/share/man/man1/aulosd.1",
        "usr/share/man/man1/aulosctl.1",
        "usr/share/bash-completion/completions/aulosctl",
        "usr/share/systemd/user/aulosd.service",
        "usr/share/systemd/user/aulosd.socket",
        "usr/share/systemd/user/aulos-mcp.service",
        "usr/share/dbus-1/services/org.aulos.Server.service",
        "usr/share/doc/aulos/systemd.md",
        "etc/security/limits.d/25-aulos.conf",
        "etc/systemd/system/user@.service.d/25-aulos.conf",
    ] {
        let found = fs::metadata(package.join(file)).unwrap_or_else(|error| panic!("{file}: {error}"));
        assert!(found.len() > 0, "{file}");
    }
    // Where it is put together is nothing that a file of it says.
    for file in files(&package).iter().filter(|file| !file.starts_with(package.join("usr/bin"))) {
        let said = fs::read(file).unwrap();
        assert!(!text(&said).contains(package.to_str().unwrap()), "{}", file.display());
    }
}
