//! Requests that are well formed and wrong.

use aulos_protocol::{
    ErrorCode::{
        self, Cycle, Exists, InvalidArgument, Io, NotFound, OutOfRange, Parse, Unavailable, Version,
    },
    Slug,
};

use crate::bench::{
    Bench, Raw,
    Says::{self, Close, Expected, Index, Path, Range, Remedy},
    check,
};

/// Method, parameters, code, part of the message, what else is said.
type Row = (&'static str, &'static str, ErrorCode, &'static str, &'static [Says]);

const SLUG: Says = Expected(Slug::EXPECTED);
const SCHEMA: Says = Remedy("the query \"schema\" tells");
const GAIN: Says = Range(-144.0, 12.0, "dB");
const TIMELINE: Says = Range(0.0, 1_099_511_627_776.0, "frames");

const NODES: &[Row] = &[
    ("node_add", r#"{"kind":"track","nmae":"x"}"#, InvalidArgument, "unknown field `nmae`", &[SCHEMA]),
    ("node_add", "{}", InvalidArgument, "missing field `kind`", &[SCHEMA]),
    ("node_add", r#"{"kind":"trak"}"#, InvalidArgument, "unknown variant `trak`", &[SCHEMA]),
    ("node_add", r#"{"kind":null}"#, InvalidArgument, "node_add", &[SCHEMA]),
    ("node_add", r#"{"kind":["track"]}"#, InvalidArgument, "node_add", &[SCHEMA]),
    ("node_add", r#"["track"]"#, InvalidArgument, "node_add", &[SCHEMA]),
    ("node_add", r#""track""#, InvalidArgument, "node_add", &[SCHEMA]),
    (
        "node_add",
        r#"{"kind":"track","channels":0}"#,
        OutOfRange,
        "0 channels",
        &[Range(1.0, 64.0, "channels")],
    ),
    ("node_add", r#"{"kind":"track","channels":65}"#, OutOfRange, "65", &[Range(1.0, 64.0, "channels")]),
    ("node_add", r#"{"kind":"track","channels":-1}"#, InvalidArgument, "-1", &[SCHEMA]),
    ("node_add", r#"{"kind":"track","channels":70000}"#, InvalidArgument, "70000", &[SCHEMA]),
    ("node_add", r#"{"kind":"track","channels":2.5}"#, InvalidArgument, "2.5", &[SCHEMA]),
    ("node_add", r#"{"kind":"track","channels":1e99}"#, InvalidArgument, "1e+99", &[SCHEMA]),
    ("node_add", r#"{"kind":"track","channels":"2"}"#, InvalidArgument, "\"2\"", &[SCHEMA]),
    ("node_add", r#"{"kind":"track","name":7}"#, InvalidArgument, "node_add", &[SCHEMA]),
    ("node_add", r#"{"kind":"track","name":""}"#, InvalidArgument, "\"\"", &[SLUG]),
    ("node_add", r#"{"kind":"track","name":"Drums"}"#, InvalidArgument, "\"Drums\"", &[SLUG]),
    ("node_add", r#"{"kind":"track","name":"two words"}"#, InvalidArgument, "two words", &[SLUG]),
    ("node_add", r#"{"kind":"track","name":"t\u00f6ne"}"#, InvalidArgument, "cannot be the name", &[SLUG]),
    ("node_add", r#"{"kind":"track","name":"../up"}"#, InvalidArgument, "../up", &[SLUG]),
    ("node_add", r#"{"kind":"track","name":"a:b"}"#, InvalidArgument, "a:b", &[SLUG]),
    ("node_add", r#"{"kind":"track","name":"-a"}"#, InvalidArgument, "-a", &[SLUG]),
    ("node_add", r#"{"kind":"track","name":"nul\u0000"}"#, InvalidArgument, "nul", &[SLUG]),
    (
        "node_add",
        r#"{"kind":"track","name":"drums"}"#,
        Exists,
        "\"drums\" already",
        &[Remedy("another name")],
    ),
    ("node_add", r#"{"kind":"tone","name":"sine"}"#, Exists, "\"sine\" already", &[]),
    ("node_add", r#"{"kind":"track","params":{"gian":0}}"#, NotFound, "\"gian\"", &[Close("gain")]),
    ("node_add", r#"{"kind":"track","params":{"gain":12.5}}"#, OutOfRange, "12.5 dB", &[GAIN]),
    (
        "node_add",
        r#"{"kind":"track","params":{"gain":"NaN"}}"#,
        InvalidArgument,
        "gain cannot be",
        &[Expected("decibels")],
    ),
    ("node_add", r#"{"kind":"track","params":[1]}"#, InvalidArgument, "node_add", &[SCHEMA]),
    ("node_remove", "{}", InvalidArgument, "missing field `node`", &[SCHEMA]),
    ("node_remove", r#"{"node":"drms"}"#, NotFound, "\"drms\"", &[Close("drums"), Remedy("drums")]),
    ("node_remove", r#"{"node":3}"#, InvalidArgument, "node_remove", &[SCHEMA]),
    ("node_rename", r#"{"node":"drums"}"#, InvalidArgument, "missing field `name`", &[SCHEMA]),
    ("node_rename", r#"{"node":"drms","name":"kit"}"#, NotFound, "\"drms\"", &[Close("drums")]),
    ("node_rename", r#"{"node":"drums","name":"voice"}"#, Exists, "\"voice\" already", &[]),
    ("node_rename", r#"{"node":"drums","name":"a/b"}"#, InvalidArgument, "a/b", &[SLUG]),
    ("node_duplicate", r#"{"node":"drms"}"#, NotFound, "\"drms\"", &[Close("drums")]),
    ("node_duplicate", r#"{"node":"drums","name":"voice"}"#, Exists, "\"voice\" already", &[]),
    ("node_duplicate", r#"{"node":"drums","times":2}"#, InvalidArgument, "unknown field `times`", &[SCHEMA]),
    ("node_move", r#"{"node":"drums"}"#, InvalidArgument, "missing field `to`", &[SCHEMA]),
    (
        "node_move",
        r#"{"node":"drums","to":"middle"}"#,
        InvalidArgument,
        "unknown variant `middle`",
        &[SCHEMA],
    ),
    ("node_move", r#"{"node":"drums","to":{"before":"drms"}}"#, NotFound, "\"drms\"", &[Close("drums")]),
    (
        "node_move",
        r#"{"node":"drums","to":{"after":"drums"}}"#,
        InvalidArgument,
        "drums cannot stand beside itself",
        &[Expected("another node")],
    ),
    ("node", r#"{"node":"voise"}"#, NotFound, "\"voise\"", &[Close("voice")]),
    ("get", r#"{"node":"roomm"}"#, NotFound, "\"roomm\"", &[Close("room")]),
    ("get", r#"{"node":"room","param":"pann"}"#, NotFound, "\"pann\"", &[Close("pan"), Expected("mute")]),
];

const VALUES: &[Row] = &[
    ("set", r#"{"node":"drums","param":"gain"}"#, InvalidArgument, "a value is true", &[SCHEMA]),
    ("set", r#"{"param":"gain","value":0}"#, InvalidArgument, "missing field `node`", &[SCHEMA]),
    ("set", r#"{"node":"drms","param":"gain","value":0}"#, NotFound, "\"drms\"", &[Close("drums")]),
    (
        "set",
        r#"{"node":"drums","param":"gian","value":0}"#,
        NotFound,
        "\"gian\"",
        &[Close("gain"), Expected("one of gain, pan")],
    ),
    (
        "set",
        r#"{"node":"drums","param":"gain","value":12.01}"#,
        OutOfRange,
        "12.01 dB",
        &[GAIN, Expected("-144 to 12 dB")],
    ),
    ("set", r#"{"node":"drums","param":"gain","value":-144.1}"#, OutOfRange, "-144.1 dB", &[GAIN]),
    ("set", r#"{"node":"drums","param":"gain","value":1e308}"#, OutOfRange, "gain cannot be", &[GAIN]),
    ("set", r#"{"node":"drums","param":"gain","value":1e309}"#, Parse, "number out of range", &[]),
    ("set", r#"{"node":"drums","param":"gain","value":NaN}"#, Parse, "not JSON", &[]),
    ("set", r#"{"node":"drums","param":"gain","value":-Infinity}"#, Parse, "not JSON", &[]),
    (
        "set",
        r#"{"node":"drums","param":"gain","value":"NaN"}"#,
        InvalidArgument,
        "gain cannot be",
        &[Expected("decibels")],
    ),
    (
        "set",
        r#"{"node":"drums","param":"gain","value":"inf"}"#,
        InvalidArgument,
        "gain cannot be",
        &[Expected("decibels")],
    ),
    (
        "set",
        r#"{"node":"drums","param":"gain","value":"two words"}"#,
        InvalidArgument,
        "finite number",
        &[SCHEMA],
    ),
    (
        "set",
        r#"{"node":"drums","param":"polarity","value":"up"}"#,
        InvalidArgument,
        "polarity",
        &[Expected("inverted")],
    ),
    (
        "set",
        r#"{"node":"drums","param":"polarity","value":9}"#,
        InvalidArgument,
        "polarity",
        &[Expected("inverted")],
    ),
    (
        "members_add",
        r#"{"group":"drums","nodes":["drums"]}"#,
        InvalidArgument,
        "no members",
        &[Expected("vca or group")],
    ),
    ("members_add", r#"{"group":"nobody","nodes":[]}"#, NotFound, "nobody", &[]),
    ("members_remove", r#"{"group":"drums","nodes":[]}"#, InvalidArgument, "no members", &[]),
    ("clip_set", r#"{"track":"drums","clip":999,"at":5}"#, NotFound, "999", &[]),
    ("session_set", r#"{"signature":"4/5"}"#, InvalidArgument, "time signature", &[SCHEMA]),
    (
        "set",
        r#"{"node":"drums","param":"gain","value":"-6dB"}"#,
        InvalidArgument,
        "gain cannot be",
        &[Expected("decibels")],
    ),
    ("set", r#"{"node":"drums","param":"gain","value":null}"#, InvalidArgument, "set do not fit", &[SCHEMA]),
    ("set", r#"{"node":"drums","param":"gain","value":[0]}"#, InvalidArgument, "finite number", &[SCHEMA]),
    (
        "set",
        r#"{"node":"drums","param":"gain","value":{"db":0}}"#,
        InvalidArgument,
        "finite number",
        &[SCHEMA],
    ),
    (
        "set",
        r#"{"node":"drums","param":"gain","value":true}"#,
        InvalidArgument,
        "gain cannot be on",
        &[Expected("decibels")],
    ),
    (
        "set",
        r#"{"node":"drums","param":"pan","value":1.001}"#,
        OutOfRange,
        "pan cannot be 1.001",
        &[Range(-1.0, 1.0, "")],
    ),
    (
        "set",
        r#"{"node":"drums","param":"pan","value":"-inf"}"#,
        InvalidArgument,
        "pan cannot be -inf",
        &[Expected("a number")],
    ),
    (
        "set",
        r#"{"node":"drums","param":"mute","value":0.5}"#,
        InvalidArgument,
        "mute cannot be 0.5",
        &[Expected("on or off")],
    ),
    (
        "set",
        r#"{"node":"drums","param":"mute","value":"-inf"}"#,
        InvalidArgument,
        "mute cannot be",
        &[Expected("on or off")],
    ),
    (
        "set",
        r#"{"node":"sine","param":"frequency","value":0}"#,
        OutOfRange,
        "0 Hz",
        &[Range(1.0, 20_000.0, "Hz")],
    ),
    (
        "set",
        r#"{"node":"sine","param":"frequency","value":20001}"#,
        OutOfRange,
        "20001 Hz",
        &[Range(1.0, 20_000.0, "Hz")],
    ),
    (
        "set",
        r#"{"node":"sine","param":"level","value":0.1}"#,
        OutOfRange,
        "0.1 dB",
        &[Range(-144.0, 0.0, "dB")],
    ),
    (
        "set",
        r#"{"node":"late","param":"frames","value":1.5}"#,
        InvalidArgument,
        "frames cannot be 1.5",
        &[Expected("a whole number")],
    ),
    (
        "set",
        r#"{"node":"late","param":"frames","value":-1}"#,
        OutOfRange,
        "-1 frames",
        &[Range(0.0, 1_920_000.0, "frames")],
    ),
    (
        "set",
        r#"{"node":"late","param":"frames","value":1920001}"#,
        OutOfRange,
        "1920001",
        &[Range(0.0, 1_920_000.0, "frames")],
    ),
    (
        "set",
        r#"{"node":"output","param":"first_channel","value":0}"#,
        OutOfRange,
        "cannot be 0",
        &[Range(1.0, 1024.0, "")],
    ),
    (
        "set",
        r#"{"node":"output","param":"first_channel","value":1025}"#,
        OutOfRange,
        "1025",
        &[Range(1.0, 1024.0, "")],
    ),
    (
        "set",
        r#"{"node":"verb","param":"gain","value":0}"#,
        NotFound,
        "parameter of verb",
        &[Expected("one of level, pan")],
    ),
    ("session_set", r#"{"tempo":9.99}"#, InvalidArgument, "outside 10 to 1000 bpm", &[SCHEMA]),
    ("session_set", r#"{"tempo":"fast"}"#, InvalidArgument, "session_set", &[SCHEMA]),
    ("session_set", r#"{"edit_fade_ms":-0.1}"#, OutOfRange, "-0.1 ms", &[Range(0.0, 1000.0, "ms")]),
    ("session_set", r#"{"edit_fade_ms":1000.1}"#, OutOfRange, "1000.1 ms", &[Range(0.0, 1000.0, "ms")]),
    ("session_set", r#"{"name":7}"#, InvalidArgument, "session_set", &[SCHEMA]),
];

const LINKS: &[Row] = &[
    ("link", r#"{"from":"drums","to":"room","gian":-3}"#, InvalidArgument, "unknown field `gian`", &[SCHEMA]),
    ("link", "{}", InvalidArgument, "missing field `from`", &[SCHEMA]),
    ("link", r#"{"from":"drums"}"#, InvalidArgument, "missing field `to`", &[SCHEMA]),
    ("link", r#"{"from":"","to":"room"}"#, InvalidArgument, "no end of a link", &[SCHEMA]),
    ("link", r#"{"from":"a:b:c","to":"room"}"#, InvalidArgument, "no end of a link", &[SCHEMA]),
    ("link", r#"{"from":"drums:","to":"room"}"#, InvalidArgument, "no end of a link", &[SCHEMA]),
    ("link", r#"{"from":4,"to":"room"}"#, InvalidArgument, "link", &[SCHEMA]),
    ("link", r#"{"from":"drms","to":"room"}"#, NotFound, "\"drms\"", &[Close("drums")]),
    ("link", r#"{"from":"drums","to":"rooms"}"#, NotFound, "\"rooms\"", &[Close("room")]),
    (
        "link",
        r#"{"from":"drums:outt","to":"room"}"#,
        NotFound,
        "port of drums \"outt\"",
        &[Close("out"), Expected("out_L")],
    ),
    ("link", r#"{"from":"drums:out_3","to":"room"}"#, NotFound, "\"out_3\"", &[Expected("pre_R")]),
    ("link", r#"{"from":"drums","to":"voice:in_L"}"#, NotFound, "\"in_L\"", &[Close("in"), Expected("in_1")]),
    (
        "link",
        r#"{"from":"drums:in","to":"room"}"#,
        InvalidArgument,
        "drums:in cannot be the source",
        &[Expected("insert_out")],
    ),
    ("link", r#"{"from":"drums:in_L","to":"room"}"#, InvalidArgument, "drums:in_L cannot be the source", &[]),
    (
        "link",
        r#"{"from":"drums","to":"room:out_L"}"#,
        InvalidArgument,
        "room:out_L cannot be the destination",
        &[Expected("in_L")],
    ),
    (
        "link",
        r#"{"from":"output","to":"room"}"#,
        InvalidArgument,
        "output output cannot be the source",
        &[Expected("a node that has outputs")],
    ),
    (
        "link",
        r#"{"from":"drums","to":"sine"}"#,
        InvalidArgument,
        "drums has no MIDI port to be linked with sine",
        &[Expected("a node that has midi_out")],
    ),
    (
        "link",
        r#"{"from":"hall","to":"room"}"#,
        Cycle,
        "room -> hall -> room",
        &[Path(&["room", "hall", "room"]), Remedy("unlink")],
    ),
    (
        "link",
        r#"{"from":"hall:pre_L","to":"verb:in_R"}"#,
        Cycle,
        "cycle",
        &[Path(&["room", "hall", "verb", "room"])],
    ),
    ("link", r#"{"from":"room","to":"room"}"#, Cycle, "room -> room", &[Path(&["room", "room"])]),
    (
        "link",
        r#"{"from":"drums:out","to":"drums:in"}"#,
        Cycle,
        "drums -> drums",
        &[Path(&["drums", "drums"])],
    ),
    (
        "link",
        r#"{"from":"drums","to":"room","gain":144.5}"#,
        OutOfRange,
        "144.5 dB",
        &[Range(-144.0, 144.0, "dB")],
    ),
    ("link", r#"{"from":"drums","to":"room","gain":"loud"}"#, InvalidArgument, "-inf", &[SCHEMA]),
    ("link", r#"{"from":"drums","to":"room","gain":true}"#, InvalidArgument, "-inf", &[SCHEMA]),
    ("unlink", r#"{"from":"drums","to":"room"}"#, NotFound, "are not linked", &[Remedy("ls links")]),
    (
        "unlink",
        r#"{"from":"drums","to":"hall"}"#,
        NotFound,
        "are not linked",
        &[Close("drums:out_L -> verb:in_L")],
    ),
    ("unlink", r#"{"from":"drums","to":"nobody"}"#, NotFound, "\"nobody\"", &[]),
    ("unlink", r#"{"from":"drums:in","to":"room"}"#, InvalidArgument, "cannot be the source", &[]),
];

const BATCHES: &[Row] = &[
    ("batch", "{}", InvalidArgument, "missing field `commands`", &[SCHEMA]),
    ("batch", r#"{"commands":{}}"#, InvalidArgument, "batch", &[SCHEMA]),
    ("batch", r#"{"commands":[{"method":"lnik"}]}"#, InvalidArgument, "unknown variant `lnik`", &[SCHEMA]),
    (
        "batch",
        r#"{"commands":[{"method":"status"}]}"#,
        InvalidArgument,
        "unknown variant `status`",
        &[SCHEMA],
    ),
    (
        "batch",
        r#"{"commands":[{"method":"batch","params":{"commands":[]}}]}"#,
        InvalidArgument,
        "cannot hold a batch",
        &[Index(0)],
    ),
    ("batch", r#"{"commands":[{"method":"undo"}]}"#, Unavailable, "cannot be part of an edit", &[Index(0)]),
    ("batch", r#"{"commands":[{"method":"play"}]}"#, Unavailable, "transport", &[Index(0)]),
    (
        "batch",
        r#"{"commands":[{"method":"shutdown","params":{}}]}"#,
        Unavailable,
        "cannot be part",
        &[Index(0)],
    ),
    (
        "batch",
        r#"{"commands":[{"method":"node_add","params":{"kind":"bus","name":"a"}},
            {"method":"set","params":{"node":"drums","param":"gain","value":-6}},
            {"method":"node_remove","params":{"node":"sine"}},
            {"method":"set","params":{"node":"drums","param":"gain","value":60}},
            {"method":"node_add","params":{"kind":"bus","name":"b"}}]}"#,
        OutOfRange,
        "60 dB",
        &[Index(3), GAIN],
    ),
    (
        "batch",
        r#"{"commands":[{"method":"node_add","params":{"kind":"bus","name":"a"}},
            {"method":"link","params":{"from":"hall","to":"a"}},
            {"method":"link","params":{"from":"a","to":"room"}},
            {"method":"set","params":{"node":"drums","param":"gain","value":-6}}]}"#,
        Cycle,
        "cycle",
        &[Index(2), Path(&["room", "hall", "a", "room"])],
    ),
    (
        "batch",
        r#"{"commands":[{"method":"node_add","params":{"kind":"bus","name":"a"}},
            {"method":"node_add","params":{"kind":"bus","name":"a"}}]}"#,
        Exists,
        "\"a\" already",
        &[Index(1)],
    ),
];

const REST: &[Row] = &[
    ("redo", "{}", Unavailable, "nothing to redo", &[]),
    ("locate", "{}", InvalidArgument, "missing field `position`", &[SCHEMA]),
    ("locate", r#"{"position":-1}"#, InvalidArgument, "-1", &[SCHEMA]),
    ("locate", r#"{"position":1.5}"#, InvalidArgument, "1.5", &[SCHEMA]),
    ("locate", r#"{"position":"0"}"#, InvalidArgument, "locate", &[SCHEMA]),
    ("locate", r#"{"position":1099511627777}"#, OutOfRange, "position", &[TIMELINE]),
    ("locate", r#"{"position":18446744073709551615}"#, OutOfRange, "position", &[TIMELINE]),
    ("locate", r#"{"position":18446744073709551616}"#, InvalidArgument, "locate", &[SCHEMA]),
    ("loop", r#"{"start":0}"#, InvalidArgument, "only one end", &[Expected("both start and end")]),
    ("loop", r#"{"end":9600}"#, InvalidArgument, "only one end", &[]),
    ("loop", r#"{"start":0,"end":479}"#, InvalidArgument, "too short", &[Expected("at least 480 frames")]),
    ("loop", r#"{"start":9600,"end":9600}"#, InvalidArgument, "too short", &[]),
    ("loop", r#"{"start":9600,"end":0}"#, InvalidArgument, "too short", &[]),
    ("loop", r#"{"start":0,"end":1099511627777}"#, OutOfRange, "end", &[TIMELINE]),
    (
        "loop",
        r#"{"start":18446744073709551615,"end":18446744073709551615}"#,
        OutOfRange,
        "start",
        &[TIMELINE],
    ),
    ("loudness_reset", r#"{"node":"nobody"}"#, NotFound, "node \"nobody\"", &[]),
    ("loudness_reset", r#"{"node":7}"#, InvalidArgument, "loudness_reset", &[SCHEMA]),
    ("step", "{}", InvalidArgument, "missing field `blocks`", &[SCHEMA]),
    ("step", r#"{"blocks":64}"#, InvalidArgument, "step", &[SCHEMA]),
    ("step", r#"{"blocks":[0]}"#, OutOfRange, "0 frames", &[Range(1.0, 1024.0, "frames")]),
    ("step", r#"{"blocks":[64,1025]}"#, OutOfRange, "1025 frames", &[Range(1.0, 1024.0, "frames")]),
    ("step", r#"{"blocks":[-64]}"#, InvalidArgument, "-64", &[SCHEMA]),
    ("step", r#"{"blocks":[64.5]}"#, InvalidArgument, "64.5", &[SCHEMA]),
    ("step", r#"{"blocks":[4294967295]}"#, InvalidArgument, "in one step", &[Remedy("several steps")]),
    ("hello", r#"{"protocol":2}"#, Version, "protocol 1", &[Expected("protocol 1"), Remedy("same release")]),
    ("hello", "{}", InvalidArgument, "missing field `protocol`", &[SCHEMA]),
    ("hello", r#"{"protocol":-1}"#, InvalidArgument, "hello", &[SCHEMA]),
    ("subscribe", r#"{"telemetry_hz":-1}"#, OutOfRange, "-1 Hz", &[Range(0.0, 60.0, "Hz")]),
    ("subscribe", r#"{"telemetry_hz":61}"#, OutOfRange, "61 Hz", &[Range(0.0, 60.0, "Hz")]),
    ("subscribe", r#"{"telemetry_hz":"often"}"#, InvalidArgument, "subscribe", &[SCHEMA]),
    ("operation", r#"{"operation":7}"#, NotFound, "operation \"7\"", &[]),
    ("operation_cancel", r#"{"operation":7}"#, NotFound, "operation \"7\"", &[]),
    ("operation_cancel", "{}", InvalidArgument, "missing field `operation`", &[SCHEMA]),
    ("session_new", r#"{"path":"here"}"#, InvalidArgument, "not a whole path", &[Expected("begins with /")]),
    (
        "session_new",
        r#"{"path":"/dev/null/x","rate":7999}"#,
        InvalidArgument,
        "outside 8000 to 384000 Hz",
        &[SCHEMA],
    ),
    (
        "session_new",
        r#"{"path":"/dev/null/x"}"#,
        Unavailable,
        "not saved",
        &[Remedy("aulosctl session save")],
    ),
    ("session_open", r#"{"path":"here"}"#, InvalidArgument, "not a whole path", &[Expected("begins with /")]),
    ("session_open", r#"{"path":"/"}"#, Unavailable, "not saved", &[Remedy("--discard")]),
    (
        "session_open",
        r#"{"path":"/nowhere","discard":true}"#,
        NotFound,
        "no session in /nowhere",
        &[Expected("session.json"), Remedy("session new")],
    ),
    ("session_open", r#"{"path":"/nowhere","discard":"yes"}"#, InvalidArgument, "session_open", &[SCHEMA]),
    ("session_save", "{}", Unavailable, "no folder yet", &[Remedy("aulosctl session save PATH")]),
    ("session_save", r#"{"path":"here"}"#, InvalidArgument, "not a whole path", &[]),
    ("session_save", r#"{"path":"/dev/null/x"}"#, Io, "/dev/null/x", &[]),
];

fn go_through(table: &[Row]) {
    let mut bench = Bench::new();
    let mut raw = Raw::new(&bench.server);
    for (method, params, code, part, says) in table {
        let what = format!("{method} {params}");
        let error = raw.call(method, &params.replace('\n', " ")).expect_err(&what);
        check(&what, &error, *code, part, says);
        bench.goes_on(&what);
    }
}

#[test]
fn wrong_nodes_are_refused() {
    go_through(NODES);
}

#[test]
fn wrong_values_are_refused_with_their_range() {
    go_through(VALUES);
}

#[test]
fn wrong_links_are_refused_with_close_names_and_the_cycle() {
    go_through(LINKS);
}

#[test]
fn batches_that_fail_anywhere_change_nothing() {
    go_through(BATCHES);
}

#[test]
fn everything_else_that_is_wrong_is_refused() {
    go_through(REST);
}
