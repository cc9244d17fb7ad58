//! Sessions on disk that are missing, damaged, or those of somebody else.

use std::{
    fs,
    path::{Path, PathBuf},
};

use aulos_protocol::{
    ErrorCode::{self, Cycle, InvalidArgument, NotFound, OutOfRange},
    Reply, Slug,
};
use aulos_tests::server::{Server, read_wav};
use serde_json::{Value as Json, json};

use crate::bench::{
    Bench, Raw,
    Says::{self, Close, Expected, Path as Cycled, Range, Remedy},
    check,
};

/// A session with a bit of everything, as a server wrote it; changed by the table.
pub fn whole(folder: &Path) -> Json {
    let server = Server::stepped();
    server.ok(&format!("session new {}", folder.display()));
    for line in
        ["track add drums --gain -3dB", "track add voice", "bus add room", "node add delay late frames=48"]
    {
        server.ok(line);
    }
    for line in ["node add click beat", "node add tone bell notes=on", "node add feedback echo frames=2000"] {
        server.ok(line);
    }
    for line in
        ["link drums room", "link room late", "link late master", "link voice master", "link beat bell"]
    {
        server.ok(line);
    }
    let sound = "/usr/share/sounds/alsa/Noise.wav";
    server.ok(&format!("clip add drums {sound}"));
    server.ok(&format!("clip add voice {sound}"));
    server.ok("session save");
    drop(server);
    let json = fs::read_to_string(folder.join("session.json")).unwrap();
    serde_json::from_str(&json).unwrap()
}

/// The number of the node named `slug`.
fn id(session: &Json, slug: &str) -> u64 {
    nodes(session).iter().find(|node| node["slug"] == slug).unwrap()["id"].as_u64().unwrap()
}

fn nodes(session: &Json) -> &Vec<Json> {
    session["nodes"].as_array().unwrap()
}

/// The place of the node named `slug`.
fn at(session: &Json, slug: &str) -> usize {
    nodes(session).iter().position(|node| node["slug"] == slug).unwrap()
}

type Row = (&'static str, fn(&mut Json), ErrorCode, &'static str, &'static [Says]);

fn node<'a>(session: &'a mut Json, slug: &str) -> &'a mut Json {
    let at = at(session, slug);
    &mut session["nodes"][at]
}

fn midi_link(session: &mut Json) -> &mut Json {
    let links = session["links"].as_array_mut().unwrap();
    links.iter_mut().find(|link| link["from"]["port"] == "midi_out").unwrap()
}

const TABLE: &[Row] = &[
    (
        "another format",
        |s| s["format"] = json!(2),
        InvalidArgument,
        "format 2",
        &[Expected("format 1"), Remedy("version")],
    ),
    (
        "no format",
        |s| drop(s["format"].take()),
        InvalidArgument,
        "names no format",
        &[Expected("\"format\": 1")],
    ),
    ("a format in words", |s| s["format"] = json!("1"), InvalidArgument, "names no format", &[]),
    ("no name", |s| drop(s["name"].take()), InvalidArgument, "damaged", &[Remedy("mend the file")]),
    ("a long name", |s| s["name"] = json!("x".repeat(256)), InvalidArgument, "too long", &[Expected("255")]),
    ("a rate of 0", |s| s["rate"] = json!(0), InvalidArgument, "outside 8000 to 384000 Hz", &[]),
    ("a negative rate", |s| s["rate"] = json!(-48_000), InvalidArgument, "damaged", &[]),
    ("a rate of halves", |s| s["rate"] = json!(44_100.5), InvalidArgument, "damaged", &[]),
    ("a tempo of 0", |s| s["tempo"] = json!(0), InvalidArgument, "outside 10 to 1000 bpm", &[]),
    ("a tempo that is none", |s| s["tempo"] = json!("NaN"), InvalidArgument, "damaged", &[]),
    ("a negative fade", |s| s["edit_fade_ms"] = json!(-1), OutOfRange, "-1 ms", &[Range(0.0, 1000.0, "ms")]),
    ("a block of 0", |s| s["max_block"] = json!(0), OutOfRange, "max_block", &[Range(1.0, 8192.0, "frames")]),
    (
        "a huge block",
        |s| s["max_block"] = json!(8193),
        OutOfRange,
        "max_block",
        &[Range(1.0, 8192.0, "frames")],
    ),
    ("a block of halves", |s| s["max_block"] = json!(0.5), InvalidArgument, "damaged", &[]),
    (
        "a huge latency",
        |s| s["max_latency_ms"] = json!(60_001),
        OutOfRange,
        "max_latency_ms",
        &[Range(0.0, 60_000.0, "ms")],
    ),
    (
        "a block longer than a feedback",
        |s| s["max_block"] = json!(4096),
        OutOfRange,
        "echo",
        &[Says::Expected("4096")],
    ),
    (
        "a MIDI link with a gain",
        |s| midi_link(s)["gain"] = json!(-6),
        InvalidArgument,
        "beat:midi_out to bell:midi_in: a MIDI link cannot be louder or softer",
        &[Expected("-inf")],
    ),
    (
        "audio that goes to MIDI",
        |s| midi_link(s)["from"]["port"] = json!("out_L"),
        InvalidArgument,
        "beat:out_L to bell:midi_in leads from audio to MIDI",
        &[Expected("two MIDI ports")],
    ),
    ("a rank out of reach", |s| node(s, "voice")["rank"] = json!(1e300), OutOfRange, "its rank", &[]),
    ("a rank in words", |s| node(s, "voice")["rank"] = json!("first"), InvalidArgument, "damaged", &[]),
    ("nodes that are no list", |s| s["nodes"] = json!({}), InvalidArgument, "damaged", &[]),
    ("a node that is no node", |s| s["nodes"][0] = json!(7), InvalidArgument, "damaged", &[]),
    (
        "a node twice",
        |s| {
            let n = s["nodes"][0].clone();
            s["nodes"].as_array_mut().unwrap().push(n)
        },
        InvalidArgument,
        "used twice",
        &[],
    ),
    (
        "a link twice",
        |s| {
            let l = s["links"][0].clone();
            s["links"].as_array_mut().unwrap().push(l)
        },
        InvalidArgument,
        "used twice",
        &[],
    ),
    (
        "the same link again",
        |s| {
            let mut l = s["links"][0].clone();
            l["id"] = json!(900);
            s["next_id"] = json!(901);
            s["links"].as_array_mut().unwrap().push(l)
        },
        InvalidArgument,
        "linked twice",
        &[],
    ),
    (
        "a name twice",
        |s| node(s, "voice")["slug"] = json!("drums"),
        InvalidArgument,
        "two nodes have the name \"drums\"",
        &[],
    ),
    ("no good name", |s| node(s, "voice")["slug"] = json!("Voice 1"), InvalidArgument, Slug::EXPECTED, &[]),
    (
        "an unknown kind",
        |s| node(s, "voice")["kind"] = json!("plugin"),
        InvalidArgument,
        "unknown variant `plugin`",
        &[],
    ),
    (
        "no channels",
        |s| node(s, "voice")["channels"] = json!(0),
        OutOfRange,
        "track voice",
        &[Range(1.0, 64.0, "channels")],
    ),
    (
        "many channels",
        |s| node(s, "voice")["channels"] = json!(65),
        OutOfRange,
        "track voice",
        &[Range(1.0, 64.0, "channels")],
    ),
    (
        "fewer channels than links",
        |s| node(s, "room")["channels"] = json!(1),
        InvalidArgument,
        "no such port",
        &[],
    ),
    (
        "a loud gain",
        |s| node(s, "drums")["params"]["gain"] = json!(99),
        OutOfRange,
        "track drums: gain cannot be 99 dB",
        &[Range(-144.0, 12.0, "dB")],
    ),
    (
        "a gain in words",
        |s| node(s, "drums")["params"]["gain"] = json!("loud"),
        InvalidArgument,
        "gain cannot be loud",
        &[Expected("-inf")],
    ),
    (
        "a member that is none",
        |s| node(s, "drums")["members"] = json!([1]),
        InvalidArgument,
        "has members",
        &[],
    ),
    ("a signature that is none", |s| s["signature"] = json!("3/5"), InvalidArgument, "time signature", &[]),
    (
        "a loop of nothing",
        |s| s["loop_range"] = json!([9600, 9600]),
        InvalidArgument,
        "a loop from 9600 to 9600 is too short",
        &[Expected("at least 480 frames")],
    ),
    ("a loop backwards", |s| s["loop_range"] = json!([9600, 0]), InvalidArgument, "too short", &[]),
    ("a short loop", |s| s["loop_range"] = json!([0, 479]), InvalidArgument, "too short", &[]),
    (
        "a loop before time",
        |s| s["loop_range"] = json!([-1, 9600]),
        InvalidArgument,
        "loop_range: invalid value: integer `-1`",
        &[Remedy("mend the file")],
    ),
    (
        "a loop beyond time",
        |s| s["loop_range"] = json!([0, u64::MAX]),
        OutOfRange,
        "the loop's end",
        &[Range(0.0, 1_099_511_627_776.0, "frames")],
    ),
    (
        "all of a loop beyond time",
        |s| s["loop_range"] = json!([u64::MAX - 480, u64::MAX]),
        OutOfRange,
        "start",
        &[],
    ),
    (
        "a loop with one end",
        |s| s["loop_range"] = json!([0]),
        InvalidArgument,
        "loop_range: invalid length 1",
        &[],
    ),
    ("a loop with three ends", |s| s["loop_range"] = json!([0, 480, 960]), InvalidArgument, "damaged", &[]),
    ("a loop in words", |s| s["loop_range"] = json!("on"), InvalidArgument, "loop_range: invalid type", &[]),
    ("a loop of halves", |s| s["loop_range"] = json!([0.5, 960]), InvalidArgument, "loop_range", &[]),
    (
        "an unknown parameter",
        |s| node(s, "drums")["params"]["gian"] = json!(0),
        NotFound,
        "\"gian\"",
        &[Close("gain")],
    ),
    (
        "a switch that is a number",
        |s| node(s, "drums")["params"]["mute"] = json!(1),
        InvalidArgument,
        "track drums: mute cannot be 1",
        &[Expected("off")],
    ),
    (
        "a delay of halves",
        |s| node(s, "late")["params"]["frames"] = json!(1.5),
        InvalidArgument,
        "delay late: frames cannot be 1.5",
        &[],
    ),
    (
        "clips on a bus",
        |s| {
            let c = node(s, "drums")["clips"].clone();
            node(s, "drums")["clips"] = json!([]);
            node(s, "room")["clips"] = c
        },
        InvalidArgument,
        "bus room: it has clips",
        &[],
    ),
    (
        "a clip twice",
        |s| {
            let c = node(s, "drums")["clips"][0].clone();
            node(s, "drums")["clips"].as_array_mut().unwrap().push(c)
        },
        InvalidArgument,
        "track drums: the clips are not in the order",
        &[],
    ),
    (
        "a clip's number on two tracks",
        |s| {
            let c = node(s, "drums")["clips"][0]["id"].clone();
            node(s, "voice")["clips"][0]["id"] = c
        },
        InvalidArgument,
        "two clips have the number",
        &[],
    ),
    (
        "a clip of length 0",
        |s| node(s, "drums")["clips"][0]["length"] = json!(0),
        OutOfRange,
        "a clip's length",
        &[Range(1.0, 1_099_511_627_776.0, "frames")],
    ),
    (
        "a clip beyond time",
        |s| node(s, "drums")["clips"][0]["at"] = json!(u64::MAX),
        OutOfRange,
        "a clip's at",
        &[],
    ),
    (
        "a clip before time",
        |s| node(s, "drums")["clips"][0]["at"] = json!(-1),
        InvalidArgument,
        "damaged",
        &[],
    ),
    (
        "a clip of no file",
        |s| node(s, "drums")["clips"][0]["file"] = json!(""),
        InvalidArgument,
        "track drums: the clip names no file",
        &[],
    ),
    (
        "a link from nowhere",
        |s| s["links"][0]["from"]["node"] = json!(777),
        InvalidArgument,
        "has the source #777:",
        &[],
    ),
    (
        "a link to nowhere",
        |s| s["links"][0]["to"]["port"] = json!("in_9"),
        InvalidArgument,
        "has the destination",
        &[],
    ),
    (
        "a link the wrong way",
        |s| {
            let l = &mut s["links"][0];
            let (a, b) = (l["from"].take(), l["to"].take());
            (l["from"], l["to"]) = (b, a)
        },
        InvalidArgument,
        "no such port",
        &[],
    ),
    (
        "an impossible gain",
        |s| s["links"][0]["gain"] = json!(1e300),
        OutOfRange,
        "the gain of link",
        &[Range(-147.0, 144.0, "dB")],
    ),
    (
        "a next number in use",
        |s| s["next_id"] = json!(5),
        InvalidArgument,
        "next_id is 5",
        &[Expected("above")],
    ),
    ("no next number", |s| drop(s["next_id"].take()), InvalidArgument, "damaged", &[]),
    (
        "a huge next number",
        |s| s["next_id"] = json!(u64::MAX),
        InvalidArgument,
        "next_id is",
        &[Expected("at most 9007199254740992")],
    ),
    (
        "a huge node number",
        |s| {
            let from = id(s, "voice");
            replace(s, from, u64::MAX)
        },
        InvalidArgument,
        "next_id is",
        &[],
    ),
    (
        "a cycle",
        |s| {
            let (late, room) = (id(s, "late"), id(s, "room"));
            let link = json!({"id": 900, "from": {"node": late, "port": "out_L"}, "to": {"node": room, "port": "in_L"}});
            s["next_id"] = json!(901);
            s["links"].as_array_mut().unwrap().push(link);
        },
        Cycle,
        "late",
        &[Cycled(&["room", "late", "room"])],
    ),
];

/// Gives a node another number.
fn replace(session: &mut Json, old: u64, new: u64) {
    for node in session["nodes"].as_array_mut().unwrap() {
        if node["id"] == old {
            node["id"] = json!(new);
        }
    }
    for link in session["links"].as_array_mut().unwrap() {
        for end in ["from", "to"] {
            if link[end]["node"] == old {
                link[end]["node"] = json!(new);
            }
        }
    }
}

fn open(raw: &mut Raw, folder: &Path) -> Result<Reply, aulos_protocol::Error> {
    raw.call("session_open", &json!({ "path": folder, "discard": true }).to_string())
}

/// A folder with a file `session.json` that holds `contents`.
pub fn folder_with(dir: &Path, name: &str, contents: &[u8]) -> PathBuf {
    let folder = dir.join(name);
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("session.json"), contents).unwrap();
    folder
}

#[test]
fn damaged_sessions_are_refused_and_the_open_one_plays_on() {
    let dir = tempfile::tempdir().unwrap();
    let original = whole(&dir.path().join("whole"));
    let mut bench = Bench::new();
    let mut raw = Raw::new(&bench.server);
    for (number, (what, change, code, part, says)) in TABLE.iter().enumerate() {
        let mut session = original.clone();
        change(&mut session);
        let contents = serde_json::to_vec_pretty(&session).unwrap();
        let folder = folder_with(dir.path(), &number.to_string(), &contents);
        let error = open(&mut raw, &folder).expect_err(what);
        check(what, &error, *code, part, says);
        assert!(error.message.contains(folder.to_str().unwrap()), "{what}: which file? {}", error.message);
        assert_eq!(
            fs::read(folder.join("session.json")).unwrap(),
            contents,
            "{what}: nothing is overwritten"
        );
        bench.goes_on(what);
    }
    // The table is only worth something if the session would open without the changes.
    open(&mut raw, &dir.path().join("whole")).unwrap();
}

#[test]
fn files_that_are_no_sessions_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let original = serde_json::to_vec_pretty(&whole(&dir.path().join("whole"))).unwrap();
    let mut bench = Bench::new();
    let mut raw = Raw::new(&bench.server);
    let half = &original[..original.len() / 2];
    let mut not_text = original.clone();
    not_text[10] = 0xff;
    let deep = "[".repeat(1 << 20);
    let doubled = [&original[..], &original[..]].concat();
    for (number, (what, contents, code, part)) in [
        ("nothing", &b""[..], InvalidArgument, "damaged"),
        ("zeros", &[0; 4096], InvalidArgument, "damaged"),
        ("half a session", half, InvalidArgument, "damaged"),
        ("a session twice", &doubled, InvalidArgument, "trailing characters"),
        ("no text", &not_text, InvalidArgument, "utf-8"),
        ("another list", b"[1, 2]", InvalidArgument, "not a session"),
        ("a bottomless list", deep.as_bytes(), InvalidArgument, "recursion limit"),
        ("a format and nothing else", b"{\"format\": 1}", InvalidArgument, "missing field"),
        ("a WAV file", &fs::read("/usr/share/sounds/alsa/Noise.wav").unwrap(), InvalidArgument, "utf-8"),
    ]
    .into_iter()
    .enumerate()
    {
        let folder = folder_with(dir.path(), &number.to_string(), contents);
        let error = open(&mut raw, &folder).expect_err(what);
        check(what, &error, code, part, &[]);
        assert!(error.message.contains("session.json"), "{what}: which file? {}", error.message);
        bench.goes_on(what);
    }
    // Where there is no file at all.
    fs::create_dir_all(dir.path().join("taken/session.json")).unwrap();
    fs::create_dir_all(dir.path().join("empty")).unwrap();
    fs::write(dir.path().join("file"), "").unwrap();
    for name in ["taken", "empty", "file", "missing", "whole/session.json"] {
        let error = open(&mut raw, &dir.path().join(name)).expect_err(name);
        check(name, &error, NotFound, "there is no session in", &[Expected("session.json")]);
        bench.goes_on(name);
    }
    assert_eq!(fs::read_dir(dir.path().join("empty")).unwrap().count(), 0, "nothing is left in the folder");
}

#[test]
fn a_server_does_not_start_with_a_damaged_session() {
    let dir = tempfile::tempdir().unwrap();
    let folder = folder_with(dir.path(), "damaged", b"{\"format\": 1");
    for (folder, part) in
        [(folder.clone(), "damaged"), (dir.path().join("missing"), "there is no session in")]
    {
        let args = ["--driver", "stepped", "--session", folder.to_str().unwrap()];
        let mut server = Server::spawn(args);
        assert_eq!(server.wait().code(), Some(1));
        assert!(server.log().contains(part), "{}", server.log());
        assert!(!server.socket().exists(), "the socket is taken away again");
    }
    assert_eq!(fs::read(folder.join("session.json")).unwrap(), b"{\"format\": 1");
}

#[test]
fn a_session_that_cannot_be_opened_leaves_the_one_that_plays_untouched() {
    let folder = tempfile::tempdir().unwrap();
    let capture = folder.path().join("played.wav");
    let server =
        Server::start(["--driver", "stepped", "--block", "1024", "--capture", capture.to_str().unwrap()]);
    let path = |name: &str| folder.path().join(name).display().to_string();
    server.ok(&format!("session new {}", path("mine")));
    server.ok("node add tone sine frequency=1000Hz level=-6dB");
    server.ok("link sine master");
    server.ok("step 1000");
    let other = Server::stepped();
    other.ok(&format!("session new {} --rate 44.1k", path("other")));
    drop(other);
    let before = server.ok("--json session show");

    for words in
        [format!("session new {} --rate 44.1k", path("new")), format!("session open {}", path("other"))]
    {
        let refused = server.ctl(words.split(' ').chain(["--discard"]));
        let told = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert!(!refused.status.success() && told.contains("a file of another rate"), "{words}: {told}");
        assert_eq!(server.ok("--json session show"), before);
        // What is said is heard: the engine that plays is the one that is commanded.
        server.ok("step 1000");
        server.ok("set sine level -60dB");
        server.ok("step 1000");
        server.ok("set sine level -6dB");
    }
    assert!(!folder.path().join("new").exists(), "there is a folder of a session that was not opened");
    // Neither of them is held.
    let other = Server::stepped();
    other.ok(&format!("session open {}", path("other")));
    other.ok(&format!("session new {}", path("new")));
    drop(server);
    let played = read_wav(&capture);
    assert_eq!(played[0].len(), 5000);
    let loudest =
        |from: usize| played[0][from + 300..from + 1000].iter().fold(0.0f32, |most, x| most.max(x.abs()));
    let levels = [0, 1000, 2000, 3000, 4000].map(|from| loudest(from) > 0.4);
    assert_eq!(levels, [true, true, false, true, false]);
}
