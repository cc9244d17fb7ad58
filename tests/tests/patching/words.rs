//! Every word of `aulosctl` at least once, with text and with JSON.

use std::{
    io::{BufRead, BufReader, Write},
    process::{Command as Process, Stdio},
};

use aulos_tests::server::{aulosctl, text};
use serde_json::{Value as Json, json};

use crate::desk::{Desk, noise, write_wav};

/// Ports of a listing with this direction, of one node.
fn ports(desk: &Desk, node: &str, direction: &str) -> Vec<String> {
    let ports = desk.json("ls ports");
    let mine = ports.as_array().unwrap().iter().filter(|p| p["node"] == node && p["direction"] == direction);
    mine.map(|port| port["port"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn a_session_is_built_patched_and_read_back() {
    let desk = Desk::new();
    write_wav(&desk.path("loop.wav"), &[noise(9600, 1), noise(9600, 2)]);
    let folder = desk.path("evening");
    let path = folder.canonicalize().unwrap_or(folder.clone());
    assert_eq!(desk.say("session new evening"), format!("new session {}\n", folder.display()));
    assert_eq!(desk.say("session set --name tonight --fade 10ms"), "name tonight, fades 10 ms\n");
    assert_eq!(desk.say("tempo 90"), "90 bpm\n");
    assert_eq!(desk.say("tempo +6"), "96 bpm\n");
    assert_eq!(desk.json("tempo"), json!({ "tempo": 96.0, "signature": "4/4" }));

    assert_eq!(desk.say("track add drums --gain -3dB"), "added track drums\n");
    assert_eq!(desk.json("track add voice --channels 1 --pan L30 --mute")["nodes"], json!(["voice"]));
    assert_eq!(desk.say("bus add room mute=on"), "added bus room\n");
    assert_eq!(desk.say("send add verb --level -12dB --pan R100"), "added send verb\n");
    assert_eq!(desk.say("node add delay late frames=10ms report=on"), "added delay late\n");
    assert_eq!(desk.say("node add tone"), "added tone tone\n");
    assert_eq!(desk.say("node add input mic --channels 1 first_channel=2"), "added input mic\n");
    let kinds: Vec<_> = desk.json("ls nodes").as_array().unwrap().iter().map(|n| n["kind"].clone()).collect();
    assert_eq!(kinds, ["master", "output", "track", "track", "bus", "send", "delay", "tone", "input"]);

    assert_eq!(desk.say("link drums master"), "linked drums → master (2 links)\n");
    assert_eq!(desk.say("link drums master"), "drums → master is linked already\n");
    assert_eq!(
        desk.say("link drums:pre verb --gain -6dB"),
        "linked drums:pre → verb at -6.00 dB (2 links)\n"
    );
    assert_eq!(desk.json("link verb room")["links"], 2);
    desk.run(
        "link room late\nlink late master\nlink mic voice\nlink voice:out_L master:in_R\nlink tone room",
    );
    assert_eq!(desk.say("unlink tone room"), "unlinked tone → room (2 links)\n");
    let links = desk.json("ls links");
    let link = |from: &str, to: &str| {
        let found = links.as_array().unwrap().iter().find(|link| link["from"] == from && link["to"] == to);
        found.unwrap_or_else(|| panic!("{from} {to}: {links}"))["gain"].clone()
    };
    assert_eq!(link("drums:out_L", "master:in_L"), 0.0);
    assert_eq!(link("drums:pre_R", "verb:in_R"), -6.0);
    assert_eq!(link("voice:out_L", "master:in_R"), 0.0);
    assert_eq!(link("mic:out_1", "voice:in_1"), 0.0);
    assert_eq!(links.as_array().unwrap().len(), 2 + 2 + 2 + 2 + 2 + 2 + 1 + 1);
    assert_eq!(ports(&desk, "voice", "in"), ["voice:in_1", "voice:insert_in_1"]);
    assert_eq!(
        ports(&desk, "voice", "out"),
        ["voice:insert_out_1", "voice:pre_1", "voice:out_L", "voice:out_R"]
    );

    let clip = desk.json("clip add drums loop.wav --at 1|2 --offset 10ms --length 4000");
    let number = clip["clips"][0].as_u64().unwrap();
    assert!(desk.say("clip add drums loop.wav").contains("on drums at 0:00.000 (1|1.00)"));
    let clips = desk.json("ls clips");
    assert_eq!((&clips[0]["id"], &clips[0]["at"]), (&json!(number), &json!(30_000)));
    assert_eq!(
        (&clips[0]["offset"], &clips[0]["length"], &clips[0]["track"]),
        (&json!(480), &json!(4000), &json!("drums"))
    );
    let second = clips[1]["id"].as_u64().unwrap();
    assert_eq!(desk.say(&format!("clip rm drums {second}")), format!("removed clip {second} from drums\n"));

    assert_eq!(desk.say("set drums gain -6dB"), "drums gain -6.00 dB (was -3.00 dB)\n");
    assert_eq!(desk.say("track set drums pan R50"), "drums pan R50 (was C)\n");
    assert_eq!(desk.say("bus set room mute off"), "room mute off (was on)\n");
    assert_eq!(desk.say("send set verb level -20dB"), "verb level -20.00 dB (was -12.00 dB)\n");
    assert_eq!(desk.say("node set tone frequency 1.2kHz"), "tone frequency 1200 Hz (was 440 Hz)\n");
    assert_eq!(desk.say("set voice/mute toggle"), "voice mute off (was on)\n");
    assert_eq!(desk.say("get drums/gain"), "-6.00 dB\n");
    assert!(desk.say("get drums").lines().count() == 9);
    assert_eq!(desk.get("drums", "pan"), 0.5);
    for (words, part) in [
        ("track show drums", "-6.00 dB"),
        ("bus show room", "← verb:out"),
        ("send show verb", "in ← drums:pre"),
        ("node show late", "480 frames"),
        ("session show", "96 bpm"),
        ("ls", "pre → verb:in"),
        ("ls --links", "pre_L → verb:in_L"),
        ("ls nodes", "tone"),
        ("ls ports", "insert_in_R"),
        ("ls links", "late:out"),
        ("ls clips", "loop.wav"),
        ("status", "tonight"),
    ] {
        let out = desk.say(words);
        assert!(out.contains(part), "{words}: {out}");
    }
    assert_eq!(desk.json("node show late")["params"], json!({ "frames": 480.0, "report": true }));
    let shown = desk.json("track show drums");
    assert_eq!((&shown["params"]["gain"], &shown["params"]["pan"]), (&json!(-6.0), &json!(0.5)));

    let latency = desk.json("latency");
    assert_eq!((&latency["total"], &latency["rate"]), (&json!(480), &json!(48_000)));
    let delay = |from: &str| {
        let rows = latency["links"].as_array().unwrap();
        rows.iter().find(|row| row["from"] == from).unwrap_or_else(|| panic!("{from}: {latency}"))["delay"]
            .clone()
    };
    assert_eq!(
        (delay("drums:out_L"), delay("late:out_L"), delay("voice:out_L")),
        (json!(480), json!(0), json!(480))
    );
    assert!(desk.say("latency").contains("latency of the outputs: 480 frames (10.00 ms)"));

    assert_eq!(desk.say("node rm tone mic"), "removed tone, mic\n");
    assert_eq!(desk.say("undo"), "undone: remove tone and 1 more\n");
    assert_eq!(desk.say("redo"), "done again: remove tone and 1 more\n");
    assert_eq!(desk.say("track rm voice"), "removed voice\n");
    assert_eq!(desk.say("bus add group"), "added bus group\n");
    assert_eq!(desk.say("bus rm group"), "removed group\n");
    assert_eq!(desk.say("send add other"), "added send other\n");
    assert_eq!(desk.say("send rm other"), "removed other\n");

    assert_eq!(desk.say("session save"), "saved\n");
    let status = desk.json("status");
    let told = |field: &str| status[field].clone();
    assert_eq!((told("unsaved"), told("session"), told("nodes")), (json!(false), json!("tonight"), json!(6)));
    assert_eq!((told("links"), told("latency"), told("tempo")), (json!(12), json!(480), json!(96.0)));
    assert_eq!(told("path").as_str().map(std::path::Path::new), Some(path.canonicalize().unwrap().as_path()));
    let saved = std::fs::read_to_string(folder.join("session.json")).unwrap();
    assert_eq!(serde_json::from_str::<Json>(&saved).unwrap(), desk.session());
    assert_eq!(desk.json("ls"), desk.session());
}

#[test]
fn the_transport_is_moved_and_the_meters_are_read() {
    let desk = Desk::new();
    // Half of full scale on the left for 4,800 frames, a quarter on the right.
    write_wav(&desk.path("dc.wav"), &[vec![1 << 22; 4800], vec![1 << 21; 4800]]);
    desk.run("track add drums\nlink drums master\nclip add drums dc.wav");
    let peaks = |node: &str| {
        let meters = desk.json("meters --once");
        let reading = meters["meters"].as_array().unwrap().iter().find(|reading| reading["node"] == node);
        reading.map(|reading| reading["peaks"].clone()).unwrap_or_default()
    };
    let position = || desk.json("status")["transport"]["position"].clone();
    let transport = || desk.json("status")["transport"].clone();
    desk.say("meters --once");
    assert_eq!(desk.say("step 64x10"), "10 cycles, 640 frames\n");
    assert_eq!((position(), peaks("master")), (json!(0), json!([0.0, 0.0])));
    assert_eq!(desk.say("play"), "playing\n");
    // 5 ms of fade come first.
    assert_eq!(desk.json("step 1000")["frame"], 1640);
    assert_eq!(
        (position(), peaks("master"), peaks("master")),
        (json!(1000), json!([0.5, 0.25]), json!([0.0, 0.0]))
    );
    assert!(transport()["rolling"].as_bool().unwrap());
    assert_eq!(desk.say("pause"), "paused\n");
    desk.say("step 1000");
    assert_eq!(position(), 1000);
    desk.say("meters --once");
    desk.say("step 1000");
    assert_eq!((position(), peaks("drums")), (json!(1000), json!([0.0, 0.0])));
    assert_eq!(desk.say("locate 100ms"), "at 0:00.100 (1|1.20)\n");
    desk.run("play\nstep 1000x3\nstop\nstep 1000");
    assert_eq!(position(), 4800, "stop returns to where it was located");
    assert_eq!(desk.say("loop 0 0.1s"), "loop 0:00.000 to 0:00.100 (1|1.00 to 1|1.20)\n");
    assert_eq!(desk.json("loop"), json!({ "loop_range": [0, 4800] }));
    desk.run("locate 0\nplay\nstep 480x31");
    assert_eq!(position(), 480 * 31 - 3 * 4800, "the loop goes round");
    assert_eq!(peaks("drums"), json!([0.5, 0.25]));
    assert_eq!(desk.say("loop off"), "loop off\n");
    assert_eq!(desk.say("loop"), "loop off\n");
    desk.run("locate 4800\nset drums gain -6dB\nstep 480x10\nlocate 0\nstep 480");
    desk.say("meters --once");
    desk.say("step 480");
    let left = peaks("master")[0].as_f64().unwrap();
    assert!((left - 0.5 * 10f64.powf(-0.3)).abs() < 1e-6, "{left}");
    let text = desk.say("meters --once");
    assert!(text.contains("rolling") && text.contains("master"), "{text}");
}

#[test]
fn lists_of_commands_are_one_step() {
    let desk = Desk::new();
    let before = desk.session_but_next_id();
    let list = json!([
        { "method": "node_add", "params": { "kind": "track", "name": "drums" } },
        { "method": "node_add", "params": { "kind": "bus", "name": "room" } },
        { "method": "link", "params": { "from": "drums", "to": "room" } },
        { "method": "link", "params": { "from": "room", "to": "master", "gain": -3 } },
    ]);
    std::fs::write(desk.path("list.json"), list.to_string()).unwrap();
    assert_eq!(desk.say("batch list.json"), "4 commands; added drums, room; 4 links made or removed\n");
    assert_eq!(desk.json("ls links").as_array().unwrap().len(), 6);
    assert_eq!(desk.json("status")["undo"], "add track drums and 3 more");
    desk.say("undo");
    assert_eq!(desk.session_but_next_id(), before);
    let mut child = Process::new(aulosctl())
        .args(["--json", "batch", "-"])
        .env("AULOS_SOCKET", desk.server.socket())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(list.to_string().as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let done: Json = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&done["nodes"], &done["links"]), (&json!(["drums", "room"]), &json!(4)));
}

#[test]
fn the_socket_can_be_spoken_to_as_it_is() {
    let desk = Desk::new();
    let reply = desk.json("raw node_add {\"kind\":\"bus\",\"name\":\"room\"}");
    assert_eq!((&reply["reply"], &reply["data"]["nodes"]), (&json!("applied"), &json!(["room"])));
    assert_eq!(desk.json("raw session")["data"], desk.session());
    let schema = desk.json("raw schema");
    assert!(schema["data"]["command"].is_object() && schema["data"]["session"].is_object());

    let mut child = Process::new(aulosctl())
        .args(["raw", "-"])
        .env("AULOS_SOCKET", desk.server.socket())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = "\
        {\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"subscribe\"}
        {\"jsonrpc\":\"2.0\",\"id\":2,\"method\":\"node_remove\",\"params\":{\"node\":\"room\"}}
        {\"jsonrpc\":\"2.0\",\"id\":3,\"method\":\"nonsense\"}\n";
    child.stdin.take().unwrap().write_all(lines.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(1), "one of the answers is an error");
    let told = text(&output.stdout);
    let mut answers: Vec<Json> = told.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let event = answers.iter().position(|line| line["method"] == "event").expect("an event");
    assert_eq!(answers.remove(event)["params"]["event"], "changed");
    assert_eq!(answers[0]["result"]["reply"], "subscribed");
    assert_eq!(answers[1]["result"]["reply"], "applied");
    assert_eq!(answers[2]["error"]["data"]["code"], "invalid_request");
}

#[test]
fn what_happens_can_be_watched() {
    let desk = Desk::new();
    let watch = |options: &[&str]| {
        Process::new(aulosctl())
            .args(["watch"])
            .args(options)
            .env("AULOS_SOCKET", desk.server.socket())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap()
    };
    let mut json = watch(&["--json"]);
    let mut lines = BufReader::new(json.stdout.take().unwrap()).lines().map(Result::unwrap);
    let mut next = || serde_json::from_str::<Json>(&lines.next().expect("an event")).unwrap();
    assert_eq!(next()["event"], "opened");
    let mut telling = watch(&[]);
    // Begins to watch when it says so.
    let mut noted = String::new();
    BufReader::new(telling.stderr.take().unwrap()).read_line(&mut noted).unwrap();
    assert!(noted.contains("watching untitled"), "{noted}");
    desk.run("track add drums\nlink drums master\nplay");
    let added = next();
    assert_eq!((&added["event"], &added["data"]["revision"]), (&json!("changed"), &json!(1)));
    assert_eq!(added["data"]["changes"][0]["node"]["slug"], "drums");
    assert_eq!(next()["data"]["changes"][0]["link"]["to"]["port"], "in_L");
    assert_eq!(next()["event"], "transport");
    desk.say("session save here");
    assert_eq!(next()["event"], "saved");
    assert_eq!(desk.say("shutdown"), "the server is ending\n");
    let output = telling.wait_with_output().unwrap();
    let told = text(&output.stdout);
    for part in ["+ track drums", "+ link drums:out_L → master:in_L", "transport", "saved"] {
        assert!(told.contains(part), "{part:?} is not in {told}");
    }
    // The server has hung up.
    assert_eq!(output.status.code(), Some(3));
    assert_eq!(json.wait().unwrap().code(), Some(3));
}

#[test]
fn status_lists_the_operations_that_run() {
    let desk = Desk::new();
    assert_eq!(desk.json("status")["operations"], json!(null));
    let number = desk.say("render long.wav --to 3600s --no-wait");
    let number = number.trim();
    let running = desk.json("status")["operations"][0].clone();
    assert_eq!(running["operation"].to_string(), number);
    assert_eq!(running["title"], format!("render {}", desk.path("long.wav").display()));
    assert!((0.0..1.0).contains(&running["progress"].as_f64().unwrap()), "{running}");
    assert!(desk.say("status").contains(&format!("operations {number}  render")));
    desk.say(&format!("operation cancel {number}"));
    while desk.json("status")["operations"] != json!(null) {}
    assert!(desk.say(&format!("operation show {number}")).contains("cancelled"));
}

#[test]
fn a_session_is_not_left_without_a_name() {
    let desk = Desk::new();
    for name in ["", " "] {
        let output = desk.server.ctl(["session", "set", "--name", name]);
        let told = text(&output.stderr);
        assert!(output.status.code() == Some(1) && told.contains("name of the session is empty"), "{told}");
    }
    assert_eq!(desk.json("status")["session"], "untitled");
}
