//! Processes of other users.

use std::{
    io::{BufRead, BufReader, Write},
    os::unix::{fs::PermissionsExt, net::UnixStream},
};

use aulos_protocol::{Query, Reply};
use aulos_tests::server::{STRANGER, Server, ask, open_folder};
use rustix::{process::Uid, thread::set_thread_res_uid};

#[test]
fn another_user_is_refused_at_the_socket_told_why_and_logged() {
    // Nobody else can be another user.
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let server = Server::start(["--driver", "stepped"]);
    // As the server makes it, nobody else even comes so far.
    let mode = std::fs::metadata(server.socket()).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    open_folder(server.folder());
    std::fs::set_permissions(server.socket(), std::fs::Permissions::from_mode(0o666)).unwrap();
    let socket = server.socket();
    let said = std::thread::spawn(move || {
        // The user of this thread alone.
        let stranger = Uid::from_raw(STRANGER);
        set_thread_res_uid(stranger, stranger, stranger).unwrap();
        let mut stream = UnixStream::connect(&socket).unwrap();
        stream.set_read_timeout(Some(std::time::Duration::from_secs(60))).unwrap();
        // It may be closed already.
        stream.write_all(b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"play\"}\n").ok();
        BufReader::new(stream).lines().map_while(Result::ok).collect::<Vec<_>>()
    });
    let said = said.join().unwrap();
    let reason = "it is of user 65534, the server of user 0";
    assert!(said.len() == 1 && said[0].contains("dropped") && said[0].contains(reason), "{said:?}");
    let log = server.log();
    assert!(log.contains("a connection is refused") && log.contains(reason), "{log}");
    let Reply::Status(status) = ask(&mut server.client(), Query::Status) else { panic!("no status") };
    assert!(!status.transport.rolling);
}
