//! Clients that are not ours: liblo's oscsend and oscdump, and python-osc.

use std::{
    io::{BufRead, BufReader},
    net::UdpSocket,
    process::{Command, Stdio},
    sync::mpsc,
    time::Duration,
};

use aulos_osc::packet;
use aulos_protocol::{NodeKind, Query, Reply, Session, params};
use aulos_tests::{
    osc::{Osc, message, place, python, s, wait_until},
    server::{Server, ask, text},
};
use rosc::{OscPacket, OscType};

use crate::stepped;

fn oscsend(server: &Server, protocol: &str, words: &[&str]) {
    let url = format!("osc.{protocol}://127.0.0.1:{}/", place(server).port());
    let sent = Command::new("oscsend").arg(url).args(words).output().unwrap();
    assert!(sent.status.success(), "{words:?}: {}", text(&sent.stderr));
}

fn session(server: &Server) -> Session {
    match ask(&mut server.client(), Query::Session) {
        Reply::Session(session) => *session,
        other => panic!("{other:?}"),
    }
}

fn number(session: &Session, node: &str, param: &str) -> Option<f64> {
    params::number(session.node(node)?, param)
}

#[test]
fn oscsend_builds_and_mixes_by_udp_and_tcp() {
    for protocol in ["udp", "tcp"] {
        let server = stepped();
        for words in [
            &["/node/add", "ss", "track", "drums"][..],
            &["/node/add", "ssi", "bus", "room", "1"],
            &["/graph/connect", "ss", "drums", "master"],
            &["/graph/connect", "ssf", "drums", "room", "-6"],
            &["/track/drums/gain", "f", "-4.5"],
            // What surfaces send for lack of better.
            &["/track/1/pan", "d", "-0.25"],
            &["/track/drums/mute", "T"],
            &["/bus/*/gain", "i", "-12"],
            &["/transport/tempo", "f", "133"],
            &["/transport/play", "f", "0"],
        ] {
            let before = wait_until(&server, "it is quiet", |_| true).received;
            oscsend(&server, protocol, words);
            wait_until(&server, "it is read", |status| status.received == before + 1);
        }
        let mut osc = Osc::new(&server);
        // Each client's messages are carried out in order, but these were many clients.
        while osc.ask("/bus/room/gain", &[]) != Ok(vec![OscType::Float(-12.0)])
            || osc.ask("/transport/tempo", &[]) != Ok(vec![OscType::Float(133.0)])
        {}
        let session = session(&server);
        assert_eq!(session.node("drums").map(|node| node.kind), Some(NodeKind::Track));
        assert_eq!(session.node("room").map(|node| (node.kind, node.channels)), Some((NodeKind::Bus, 1)));
        assert_eq!(number(&session, "drums", "gain"), Some(-4.5));
        assert_eq!(number(&session, "drums", "pan"), Some(-0.25));
        assert_eq!(number(&session, "drums", "mute"), Some(1.0));
        assert_eq!(osc.get("/transport/state"), [OscType::Int(0)], "a button that is let go starts nothing");
        let status = wait_until(&server, "it is quiet", |_| true);
        assert_eq!((status.errors, status.malformed, status.dropped), (0, 0, 0));
    }
}

#[test]
fn oscdump_shows_what_a_subscriber_is_told() {
    let server = stepped();
    server.ok("track add drums");
    // oscdump only listens: another has subscribed for its port.
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let port = socket.local_addr().unwrap().port();
    let subscribe = message("/sys/subscribe", &[s("/track/*/{gain,mute}"), OscType::Int(3600)]);
    socket.send_to(&packet::write(&OscPacket::Message(subscribe)).unwrap(), place(&server)).unwrap();
    wait_until(&server, "it is subscribed", |status| status.subscribers == 1);
    drop(socket);
    let mut dump =
        Command::new("oscdump").args(["-L", &port.to_string()]).stdout(Stdio::piped()).spawn().unwrap();
    let (tell, told) = mpsc::channel();
    let lines = BufReader::new(dump.stdout.take().unwrap()).lines();
    let reads = std::thread::spawn(move || lines.map_while(Result::ok).all(|line| tell.send(line).is_ok()));
    // It may not listen yet when it is told.
    let line = (1..600).find_map(|n| {
        server.ok(&format!("set drums gain -{n}.5dB"));
        let line = told.recv_timeout(Duration::from_millis(100)).ok();
        line.filter(|line| line.contains("/track/drums/gain f -"))
    });
    assert!(line.is_some(), "oscdump shows no change");
    dump.kill().unwrap();
    dump.wait().unwrap();
    drop(told);
    reads.join().unwrap();
}

#[test]
fn python_osc_asks_is_answered_and_sends_bundles() {
    let server = stepped();
    let script = "
import sys, socket
from pythonosc.udp_client import SimpleUDPClient
from pythonosc.osc_message import OscMessage
from pythonosc.osc_bundle import OscBundle
from pythonosc.osc_message_builder import OscMessageBuilder
from pythonosc.osc_bundle_builder import OscBundleBuilder, IMMEDIATELY

client = SimpleUDPClient('127.0.0.1', int(sys.argv[1]))
client._sock.settimeout(60)

def answer():
    data = client._sock.recv(65536)
    assert not OscBundle.dgram_is_bundle(data)
    message = OscMessage(data)
    return [message.address] + message.params

def ask(address, *args):
    client.send_message(address, list(args))
    return answer()

assert ask('/node/add', 'track', 'drums')[:2] == ['/reply', '/node/add']
assert ask('/sys/req', 7, '/track/drums/gain', -3.5)[:3] == ['/reply', '/sys/req', 7]
assert ask('/track/drums/gain') == ['/track/drums/gain', -3.5]
error = ask('/track/drms/gain')
assert error[0] == '/error' and error[1] == '/track/drms/gain' and error[2] == -32001, error
assert 'did you mean' in error[3], error
info = ask('/sys/info')
assert info[0] == '/sys/info' and info[1] == 'Aulos' and info[4:] == [48000, 1024], info

bundle = OscBundleBuilder(IMMEDIATELY)
for address, value in [('/track/drums/gain', -9.0), ('/track/drums/mute', True)]:
    message = OscMessageBuilder(address)
    message.add_arg(value)
    bundle.add_content(message.build())
client.send(bundle.build())
assert answer()[:2] == ['/reply', '#bundle']
assert ask('/track/drums/mute') == ['/track/drums/mute', 1]
assert ask('/sys/undo')[:2] == ['/reply', '/sys/undo']
assert ask('/track/drums/mute') == ['/track/drums/mute', 0]
assert ask('/track/drums/gain') == ['/track/drums/gain', -3.5]
print('done')
";
    let port = place(&server).port().to_string();
    let ran = Command::new(python()).args(["-c", script, &port]).output().unwrap();
    assert!(ran.status.success(), "{}{}", text(&ran.stdout), text(&ran.stderr));
    assert_eq!(text(&ran.stdout), "done\n");
    let mut osc = Osc::new(&server);
    assert_eq!(
        osc.ask("/sys/get", &[s("/track/*/gain")]).unwrap(),
        [s("/track/drums/gain"), OscType::Float(-3.5)]
    );
}
