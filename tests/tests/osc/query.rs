//! OSCQuery and multicast DNS, by clients that are not ours: npm's `oscquery`, Node's WebSocket and python-zeroconf.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    process::{Command, Stdio},
    time::Duration,
};

use aulos_tests::{
    osc::{Osc, node, place, python, status, wait_until},
    server::{Server, text},
};
use rosc::OscType;

use crate::ANY;

/// Where OSCQuery is served.
fn query_place(server: &Server) -> SocketAddr {
    let status = status(&mut server.client());
    status.query.unwrap_or_else(|| panic!("no OSCQuery: {}", server.log())).parse().unwrap()
}

fn stage() -> Server {
    let server = Server::start(["--driver", "stepped", "--osc", ANY, "--no-mdns"]);
    server.ok("track add drums --gain -4.5dB");
    server.ok("link drums master");
    server
}

/// What is answered to this request line and these headers: status, and what comes behind the headers.
fn ask(server: &Server, line: &str, headers: &[&str]) -> (u16, String) {
    let mut stream = TcpStream::connect(query_place(server)).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    let head = format!("{line} HTTP/1.1\r\n{}\r\nConnection: close\r\n\r\n", headers.join("\r\n"));
    stream.write_all(head.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("{line}: {answer:?}"));
    (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
}

#[test]
fn npms_oscquery_browses_and_a_websocket_listens() {
    let server = stage();
    let script = r#"
const assert = require('node:assert');
const { OSCQueryDiscovery } = require('oscquery');
const osc = require('osc-min');
const udp = require('node:dgram').createSocket('udp4');

const port = Number(process.argv[2]);
const main = async () => {
    const service = await new OSCQueryDiscovery().queryNewService('127.0.0.1', port);
    const info = service.hostInfo;
    assert.equal(info.name, 'Aulos');
    assert.equal(info.oscTransport, 'UDP');
    assert.ok(info.extensions.LISTEN && info.extensions.PATH_RENAMED && info.extensions.VALUE);
    const send = (address, ...args) => new Promise((done) => {
        udp.send(osc.toBuffer({ address, args }), info.oscPort, '127.0.0.1', done);
    });
    const float = (value) => ({ type: 'float', value });

    const gain = () => service.resolvePath('/track/drums/gain');
    assert.equal(gain().getValue(0), -4.5);
    const described = service.flat().find((method) => method.full_path === '/track/drums/gain');
    assert.deepEqual(described.arguments[0].range, { min: -144, max: 12, vals: undefined });
    assert.equal(described.arguments[0].clipmode, 'both');
    assert.ok(described.description.length > 5);
    assert.ok(service.resolvePath('/transport/play') && service.resolvePath('/meter/track/drums'));
    assert.ok(service.flat().length > 80, `${service.flat().length} methods`);
    await send('/track/drums/gain', float(-7));
    while (gain().getValue(0) !== -7) await service.update();

    const socket = new WebSocket(`ws://127.0.0.1:${port}/`);
    socket.binaryType = 'arraybuffer';
    const waiting = [], wanted = [];
    const put = (message) => wanted.length ? wanted.shift()(message) : waiting.push(message);
    const next = () => waiting.length ? waiting.shift() : new Promise((done) => wanted.push(done));
    const flat = (packet) => packet.elements ? packet.elements.flatMap(flat) : [packet];
    socket.onmessage = ({ data }) => (typeof data === 'string' ? [JSON.parse(data)]
        : flat(osc.fromBuffer(Buffer.from(data)))).forEach(put);
    await new Promise((done, fail) => { socket.onopen = done; socket.onerror = fail; });
    const say = (COMMAND, DATA) => socket.send(JSON.stringify({ COMMAND, DATA }));
    const heard = async (address, value) => {
        const message = await next();
        assert.equal(message.address, address);
        assert.ok(Math.abs(message.args[0].value - value) < 1e-5, `${message.args[0].value} is not ${value}`);
    };
    say('LISTEN', '/track/drums/gain');
    await heard('/track/drums/gain', -7);
    await send('/track/drums/gain', float(-8));
    await heard('/track/drums/gain', -8);
    // By name from here on: what is listened to goes with its node.
    await send('/node/rename', { type: 'string', value: 'drums' }, { type: 'string', value: 'kit' });
    assert.deepEqual(await next(), { COMMAND: 'PATH_RENAMED', DATA: { OLD: '/track/drums', NEW: '/track/kit' } });
    assert.deepEqual(await next(),
        { COMMAND: 'PATH_RENAMED', DATA: { OLD: '/meter/track/drums', NEW: '/meter/track/kit' } });
    let told = await next();
    if (told.address === '/sys/gone') told = await next();
    assert.equal(told.address, '/track/kit/gain');
    await send('/track/kit/gain', float(-9));
    await heard('/track/kit/gain', -9);
    await send('/node/add', { type: 'string', value: 'tone' }, { type: 'string', value: 'hum' });
    assert.deepEqual(await next(), { COMMAND: 'PATH_ADDED', DATA: '/tone/hum' });
    await send('/node/remove', { type: 'string', value: 'hum' });
    assert.deepEqual(await next(), { COMMAND: 'PATH_REMOVED', DATA: '/tone/hum' });
    // Not told any more; what is set by the socket itself is seen by HTTP.
    say('IGNORE', '/track/kit/gain');
    say('LISTEN', '/track/kit/mute');
    await heard('/track/kit/mute', 0);
    socket.send(osc.toBuffer({ address: '/track/kit/gain', args: [float(-10)] }));
    socket.send(osc.toBuffer({ address: '/track/kit/gain', args: [] }));
    await heard('/track/kit/gain', -10);
    const answer = await (await fetch(`http://127.0.0.1:${port}/track/kit/gain?VALUE`)).json();
    assert.deepEqual(answer, { VALUE: [-10] });
    socket.close();
    udp.close();
    console.log('done');
};
main().catch((error) => { console.error(error); process.exit(1); });
"#;
    let (node, modules) = node();
    let file = server.folder().join("client.cjs");
    std::fs::write(&file, script).unwrap();
    let port = query_place(&server).port().to_string();
    let ran = Command::new(node).arg(&file).arg(&port).env("NODE_PATH", modules).output().unwrap();
    assert!(ran.status.success(), "{}{}{}", text(&ran.stdout), text(&ran.stderr), server.log());
    assert_eq!(text(&ran.stdout), "done\n");
    wait_until(&server, "it is closed", |status| status.connections == 0);
}

#[test]
fn what_is_asked_wrongly_is_answered_so() {
    let server = stage();
    let here = format!("Host: {}", query_place(&server));
    let get = |path: &str| ask(&server, &format!("GET {path}"), &[&here]);
    let (code, body) = get("/track/drums?CONTENTS");
    assert!(code == 200 && body.contains("\"/track/drums/pan\""), "{code} {body}");
    assert_eq!(get("/track/1/gain?VALUE"), (200, r#"{"VALUE":[-4.5]}"#.into()));
    let (code, body) = get("/?HOST_INFO");
    assert!(code == 200 && body.contains(&format!("\"OSC_PORT\":{}", place(&server).port())), "{body}");
    for (path, expected) in [
        ("/track/nobody", 404),
        ("/track/drums/gain?NONSENSE", 400),
        ("/track/drums?VALUE", 204),
        ("/transport/play?RANGE", 204),
        ("/../../etc/passwd", 404),
        ("/%2e%2e/%00", 404),
    ] {
        assert_eq!(get(path).0, expected, "{path}");
    }
    assert_eq!(ask(&server, "POST /track/drums/gain", &[&here, "Content-Length: 0"]).0, 405);
    // A page of elsewhere, by the browser of this machine.
    let upgrade = [
        "Upgrade: websocket",
        "Connection: Upgrade",
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    ];
    let before = status(&mut server.client()).refused;
    for headers in [
        vec!["Host: evil.example"],
        vec![&here, "Origin: https://evil.example"],
        [&[here.as_str(), "Origin: https://evil.example"][..], &upgrade].concat(),
    ] {
        let (code, body) = ask(&server, "GET /", &headers);
        assert!(code == 403 && body.contains("evil.example"), "{code} {body}");
    }
    wait_until(&server, "they are counted", |status| status.refused == before + 3);
    server.says("is refused: the host \"evil.example\"", 1);
    // Heads without an end, and bodies without a beginning.
    for junk in [
        "\u{1}\u{2}\u{3}\r\n\r\n",
        "GET / HTTP/9.9\r\n\r\n",
        &format!("GET /{} HTTP/1.1\r\n\r\n", "a".repeat(1 << 20)),
    ] {
        let mut stream = TcpStream::connect(query_place(&server)).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        // It may be closed before all of it is written.
        let _ = stream.write_all(junk.as_bytes());
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        assert!(!answer.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&answer));
    }
    assert_eq!(Osc::new(&server).get("/engine/rate"), [OscType::Int(48_000)]);
}

/// A WebSocket that is open.
fn websocket(server: &Server) -> TcpStream {
    let mut stream = TcpStream::connect(query_place(server)).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    let head = format!(
        "GET / HTTP/1.1\r\nHost: {}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
        query_place(server)
    );
    stream.write_all(head.as_bytes()).unwrap();
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        answer.extend(byte);
    }
    assert!(answer.starts_with(b"HTTP/1.1 101"), "{}", String::from_utf8_lossy(&answer));
    stream
}

/// A frame of a client, whose mask is zero.
fn frame(kind: u8, payload: &[u8]) -> Vec<u8> {
    let length = u16::try_from(payload.len()).unwrap();
    let size =
        if length < 126 { vec![0x80 | length as u8] } else { [&[0xfe], &length.to_be_bytes()[..]].concat() };
    [&[0x80 | kind], &size[..], &[0; 4], payload].concat()
}

#[test]
fn websockets_that_send_garbage_never_read_or_die_harm_nobody() {
    const TEXT: u8 = 1;
    const BINARY: u8 = 2;
    let server = stage();
    let listen =
        |address: &str| frame(TEXT, format!(r#"{{"COMMAND":"LISTEN","DATA":"{address}"}}"#).as_bytes());
    for garbage in [
        frame(TEXT, b"LISTEN /track/drums/gain"),
        frame(TEXT, &[0xff; 100]),
        frame(TEXT, &[b'['; 60_000]),
        frame(15, b"?"),
        // A frame that is too long, of which only the head comes.
        vec![0x82, 0xff, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
    ] {
        let mut stream = websocket(&server);
        stream.write_all(&garbage).unwrap();
        // Told why or not, it is closed.
        let _ = stream.read_to_end(&mut Vec::new());
    }
    let closed =
        wait_until(&server, "they are closed", |status| status.closed >= 5 && status.connections == 0);
    // What is no OSC is answered, and no reason to close.
    let mut stream = websocket(&server);
    stream.write_all(&frame(BINARY, b"nonsense")).unwrap();
    stream.write_all(&listen("/track/nobody/gain")).unwrap();
    stream.write_all(&listen("/track/drums/gain")).unwrap();
    let mut told = Vec::new();
    while !told.windows(18).any(|part| part == b"/track/drums/gain\0") {
        let mut more = [0; 512];
        let count = stream.read(&mut more).unwrap();
        assert!(count > 0, "{}", String::from_utf8_lossy(&told));
        told.extend(&more[..count]);
    }
    // One that dies in the middle of a frame.
    stream.write_all(&[0x82, 0xfe]).unwrap();
    drop(stream);
    // Ones that ask for much and read nothing of it.
    let mut silent = TcpStream::connect(query_place(&server)).unwrap();
    silent.set_write_timeout(Some(Duration::from_millis(200))).unwrap();
    let all = format!("GET / HTTP/1.1\r\nHost: {}\r\n\r\n", query_place(&server)).repeat(100);
    while silent.write(all.as_bytes()).is_ok() {}
    let mut deaf = websocket(&server);
    deaf.set_write_timeout(Some(Duration::from_millis(200))).unwrap();
    let schema = rosc::OscPacket::Message(aulos_tests::osc::message("/sys/schema", &[]));
    let many = frame(BINARY, &aulos_osc::packet::write(&schema).unwrap()).repeat(500);
    while deaf.write(&many).is_ok() {}
    assert_eq!(Osc::new(&server).get("/engine/rate"), [OscType::Int(48_000)]);
    let here = format!("Host: {}", query_place(&server));
    assert_eq!(ask(&server, "GET /engine/rate?VALUE", &[&here]), (200, r#"{"VALUE":[48000]}"#.into()));
    wait_until(&server, "it is closed", |status| status.closed > closed.closed && status.connections == 0);
    server.says("it has read nothing for 10 s", 1);
}

#[test]
fn ports_are_chosen_and_problems_told() {
    let off = Server::start(["--driver", "stepped", "--osc", ANY, "--osc-query", "off", "--no-mdns"]);
    assert_eq!(status(&mut off.client()).query, None);
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let server = Server::start(["--driver", "stepped", "--osc", ANY, "--osc-query", &port, "--no-mdns"]);
    let shown = server.ok("status");
    assert!(
        shown.contains(&format!("another program has port {port}")) && shown.contains("--osc-query off"),
        "{shown}"
    );
    assert_eq!(Osc::new(&server).get("/engine/rate"), [OscType::Int(48_000)]);
    let mut wrong = Server::spawn(["--driver", "stepped", "--osc-query", "70000"]);
    assert_eq!(wrong.wait().code(), Some(2));
    assert!(wrong.log().contains("--osc-query"), "{}", wrong.log());
}

#[test]
fn python_zeroconf_finds_the_server_and_hears_it_leave() {
    let mut server = Server::start(["--driver", "stepped", "--osc", ANY]);
    server.says("OSC is announced as", 1);
    let script = r#"
import sys, threading
from zeroconf import ServiceBrowser, ServiceListener, Zeroconf

wanted = {'_osc._udp.local.': int(sys.argv[1]), '_osc._tcp.local.': int(sys.argv[1]),
          '_oscjson._tcp.local.': int(sys.argv[2])}
found, found_all, gone_all = {}, threading.Event(), threading.Event()

class Listener(ServiceListener):
    def add_service(self, zeroconf, kind, name):
        info = zeroconf.get_service_info(kind, name, timeout=20000)
        if info and info.port == wanted[kind] and name.startswith('Aulos on '):
            assert '127.0.0.1' in info.parsed_addresses(), info
            found[kind] = name
            if len(found) == len(wanted):
                found_all.set()
    def update_service(self, zeroconf, kind, name):
        self.add_service(zeroconf, kind, name)
    def remove_service(self, zeroconf, kind, name):
        if found.get(kind) == name:
            del found[kind]
            if not found:
                gone_all.set()

zeroconf = Zeroconf(interfaces=['127.0.0.1'])
browser = ServiceBrowser(zeroconf, list(wanted), Listener())
assert found_all.wait(60), found
print('found', flush=True)
assert gone_all.wait(60), found
print('gone', flush=True)
zeroconf.close()
"#;
    let ports = [place(&server).port(), query_place(&server).port()].map(|port| port.to_string());
    let mut client = Command::new(python())
        .args(["-c", script, &ports[0], &ports[1]])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut told = [0; 6];
    client.stdout.as_mut().unwrap().read_exact(&mut told).unwrap_or_else(|_| {
        let mut why = String::new();
        client.stderr.take().unwrap().read_to_string(&mut why).unwrap();
        panic!("{why}{}", server.log())
    });
    assert_eq!(&told, b"found\n");
    assert!(server.terminate().success());
    let ran = client.wait_with_output().unwrap();
    assert!(ran.status.success(), "{}{}", text(&ran.stderr), server.log());
    assert_eq!(text(&ran.stdout), "gone\n");
}
