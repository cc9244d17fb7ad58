//! Every method of the registry, called for real by busctl, and what became of it.

use std::{collections::BTreeSet, os::fd::OwnedFd, path::Path};

use aulos_protocol::{Decibels, Query, Reply, Session, Status, Value, client::Client, params, registry};
use aulos_tests::{
    bus::{Bus, NAME},
    server::{Server, ask, finish, read_wav},
};
use serde_json::Value as Json;

/// A server with a bus, and the methods that have been called.
struct Stage {
    bus: Bus,
    server: Server,
    client: Client,
    called: BTreeSet<&'static str>,
}

impl Stage {
    fn new() -> Self {
        let bus = Bus::start();
        let server = bus.server(["--driver", "stepped", "--block", "1024"]);
        let client = server.client();
        Self { bus, server, client, called: BTreeSet::new() }
    }

    /// Calls the member that a method is.
    #[track_caller]
    fn call(&mut self, method: &str, object: &str, member: &str, words: &str) -> Json {
        self.called.insert(registry::method(method).unwrap().name);
        let interface = match object {
            "" => "Manager1".to_owned(),
            "node" => "Nodes1".to_owned(),
            word => format!("{}{}1", word[..1].to_uppercase(), &word[1..]),
        };
        let told = self.bus.call(object, &interface, member, words);
        told.unwrap_or_else(|error| panic!("{interface}.{member} {words}: {error}{}", self.server.log()))
    }

    fn session(&mut self) -> Session {
        let Reply::Session(session) = ask(&mut self.client, Query::Session) else { panic!("no session") };
        *session
    }

    fn status(&mut self) -> Status {
        let Reply::Status(status) = ask(&mut self.client, Query::Status) else { panic!("no status") };
        *status
    }

    fn names(&mut self) -> Vec<String> {
        self.session().nodes.in_order().iter().map(|node| node.slug.to_string()).collect()
    }

    fn number(&mut self, node: &str, param: &str) -> f64 {
        params::number(self.session().node(node).unwrap(), param).unwrap()
    }
}

/// A dictionary as busctl prints it: each value with its type.
fn entry<'a>(reply: &'a Json, name: &str) -> &'a Json {
    assert!(!reply[name]["type"].is_null(), "no {name} in {reply}");
    &reply[name]["data"]
}

#[test]
fn every_method_of_the_registry_is_a_member_that_does_it() {
    let mut stage = Stage::new();
    let folder = stage.server.folder().to_owned();
    sessions(&mut stage, &folder);
    nodes(&mut stage);
    links_and_members(&mut stage);
    clips(&mut stage, &folder);
    steps(&mut stage);
    transport(&mut stage);
    renders(&mut stage, &folder);
    questions(&mut stage);
    subscriptions(&mut stage);
    ends(&mut stage, &folder);
    let all: BTreeSet<_> = registry::methods().iter().map(|method| method.name).collect();
    assert_eq!(stage.called, all, "a method is not called here");
}

fn sessions(stage: &mut Stage, folder: &Path) {
    let path = folder.join("one").display().to_string();
    stage.call("session_new", "session", "New", &format!("sa{{sv}} {path} 2 rate t 44100 max_block t 512"));
    let session = stage.session();
    assert_eq!((session.rate.hz(), session.max_block), (44_100, 512));
    stage.call("session_set", "session", "Set", "a{sv} 2 tempo d 93.5 signature s 7/8");
    let session = stage.session();
    assert_eq!((session.tempo.get(), session.signature.to_string()), (93.5, "7/8".to_owned()));
    assert!(stage.status().unsaved);
    stage.call("session_save", "session", "Save", "a{sv} 0");
    assert!(!stage.status().unsaved);
}

fn nodes(stage: &mut Stage) {
    let told = stage.call(
        "node_add",
        "node",
        "Add",
        "sa{sv} track 3 name s drums channels t 1 params a{sv} 1 gain d -6",
    );
    assert_eq!(entry(&told, "nodes"), &serde_json::json!(["drums"]));
    assert_eq!(entry(&told, "revision").as_u64(), Some(stage.status().revision));
    assert_eq!(stage.session().node("drums").unwrap().channels, 1);
    assert_eq!(stage.number("drums", "gain"), -6.0);
    stage.call("node_rename", "node", "Rename", "ssa{sv} drums lead-vox 0");
    stage.call("node_duplicate", "node", "Duplicate", "sa{sv} lead-vox 1 name s copy");
    assert!(stage.names().ends_with(&["lead-vox".into(), "copy".into()]), "{:?}", stage.names());
    stage.call("node_move", "node", "Move", "ssa{sv} copy first 0");
    assert_eq!(stage.names()[0], "copy");
    stage.call("node_move", "node", "Move", "ssa{sv} copy after:lead-vox 0");
    assert!(stage.names().ends_with(&["lead-vox".into(), "copy".into()]));
    stage.call("node_remove", "node", "Remove", "sa{sv} copy 0");
    assert!(stage.session().node("copy").is_none());
    for (words, value) in [
        ("gain d -inf", Value::Silence),
        ("gain i -12", Value::Number(-12.0)),
        ("mute b true", Value::Switch(true)),
        ("polarity s inverted", Value::name("inverted")),
    ] {
        stage.call("set", "node", "Set", &format!("ssva{{sv}} lead-vox {words} 0"));
        let session = stage.session();
        let node = session.node("lead-vox").unwrap();
        let param = params::find(node, words.split(' ').next().unwrap()).unwrap();
        assert_eq!(params::get(node, param), value, "{words}");
    }
}

fn links_and_members(stage: &mut Stage) {
    stage.call("link", "graph", "Connect", "ssa{sv} lead-vox master 1 gain d -3");
    let session = stage.session();
    let (from, to) = (session.node("lead-vox").unwrap().id, session.node("master").unwrap().id);
    let gains: Vec<_> = session.links.between(from, to).map(|link| link.gain).collect();
    assert_eq!(gains, [Decibels::new(-3.0).unwrap(); 2]);
    stage.call("unlink", "graph", "Disconnect", "ssa{sv} lead-vox master 0");
    assert_eq!(stage.session().links.between(from, to).count(), 0);
    stage.call("link", "graph", "Connect", "ssa{sv} lead-vox master 0");
    stage.call("node_add", "node", "Add", "sa{sv} vca 1 name s all");
    stage.call("members_add", "members", "Add", "sasa{sv} all 2 lead-vox master 0");
    assert_eq!(stage.session().node("all").unwrap().members.len(), 2);
    stage.call("members_remove", "members", "Remove", "sasa{sv} all 1 master 0");
    assert_eq!(stage.session().node("all").unwrap().members.iter().collect::<Vec<_>>(), [&from]);
}

fn clips(stage: &mut Stage, folder: &Path) {
    let file = folder.join("tone.wav");
    let spec = hound::WavSpec {
        channels: 1,
        sample_rate: 44_100,
        bits_per_sample: 16,
        sample_format: hound::SampleFormat::Int,
    };
    let mut writer = hound::WavWriter::create(&file, spec).unwrap();
    (0..44_100).for_each(|at| writer.write_sample((at % 100) as i16 * 100).unwrap());
    writer.finalize().unwrap();
    let told = stage.call(
        "clip_add",
        "clip",
        "Add",
        &format!("ssa{{sv}} lead-vox {} 2 at t 441 offset t 10", file.display()),
    );
    let clip = entry(&told, "clips")[0].as_u64().unwrap();
    let place = |stage: &mut Stage| {
        let session = stage.session();
        session.node("lead-vox").unwrap().clips.first().map(|clip| (clip.id.0, clip.at.0, clip.offset.0))
    };
    assert_eq!(place(stage), Some((clip, 441, 10)));
    stage.call("clip_set", "clip", "Set", &format!("sta{{sv}} lead-vox {clip} 1 at t 882"));
    assert_eq!(place(stage), Some((clip, 882, 10)));
    stage.call("clip_remove", "clip", "Remove", &format!("sta{{sv}} lead-vox {clip} 0"));
    assert_eq!(place(stage), None);
}

fn steps(stage: &mut Stage) {
    let before = stage.session();
    let words = "a(sa{sv})a{sv} 3 node_add 2 kind s bus name s room link 3 from s lead-vox to s room gain d -10 \
                 set 3 node s room param s mute value b true 0";
    stage.call("batch", "", "Batch", words);
    assert_eq!(stage.number("room", "mute"), 1.0);
    let after = stage.session();
    stage.call("undo", "", "Undo", "a{sv} 0");
    assert_eq!(stage.session().nodes, before.nodes);
    stage.call("redo", "", "Redo", "a{sv} 0");
    assert_eq!((stage.session().nodes, stage.session().links), (after.nodes, after.links));
}

fn transport(stage: &mut Stage) {
    stage.call("locate", "transport", "Locate", "ta{sv} 4410 0");
    assert_eq!(stage.status().transport.position.0, 4410);
    stage.call("play", "transport", "Play", "a{sv} 0");
    let before = stage.status().driver.frame.0;
    stage.call("step", "", "Step", "ata{sv} 2 441 100 0");
    let status = stage.status();
    assert_eq!((status.driver.frame.0, status.transport.position.0), (before + 541, 4410 + 541));
    stage.call("pause", "transport", "Pause", "a{sv} 0");
    let status = stage.status();
    assert!(!status.transport.rolling && status.transport.position.0 >= 4951);
    stage.call("play", "transport", "Play", "a{sv} 0");
    stage.call("stop", "transport", "Stop", "a{sv} 0");
    stage.call("loop", "transport", "Loop", "a{sv} 2 start t 441 end t 44100");
    assert_eq!(stage.session().loop_frames(), Some((441, 44_100)));
    stage.call("loop", "transport", "Loop", "a{sv} 0");
    assert_eq!(stage.session().loop_frames(), None);
    // What is to come is forgotten.
    let before = stage.number("master", "gain");
    let told = stage.call("clock", "", "Clock", "");
    let now = stage.status().driver.frame.0;
    let unix_ns = entry(&told, "now_ns").as_u64().unwrap();
    let number = |name| entry(&told, name).as_f64().unwrap();
    let seconds = (unix_ns as f64 - number("unix_ns")) / 1e9;
    let frame = number("frame") + seconds * number("frames_per_second");
    assert!((frame - now as f64).abs() < 1.0, "{now} is told as {told}");
    let words = format!("ssva{{sv}} master gain d -9 1 at_frame t {}", now + 88_200);
    stage.call("set", "node", "Set", &words);
    stage.call("schedule_clear", "", "SchedClear", "a{sv} 0");
    for _ in 0..100 {
        stage.call("step", "", "Step", "ata{sv} 2 512 512 0");
    }
    assert_eq!(stage.number("master", "gain"), before);
}

fn renders(stage: &mut Stage, folder: &Path) {
    let file = folder.join("mix.wav");
    let told =
        stage.call("render", "", "Render", &format!("sa{{sv}} {} 2 end t 1000 depth s 16", file.display()));
    let operation = entry(&told, "operation").as_u64().unwrap();
    finish(&mut stage.client, operation).unwrap();
    assert_eq!(read_wav(&file)[0].len(), 1000);
    let told = stage.call("operation", "operation", "Show", &format!("t {operation}"));
    assert_eq!(
        (entry(&told, "ended"), entry(&told, "operation").as_u64()),
        (&Json::Bool(true), Some(operation))
    );
    let told = stage.call("render", "", "Render", &format!("sa{{sv}} {} 1 end t 4000000000", file.display()));
    let operation = entry(&told, "operation").as_u64().unwrap();
    stage.call("operation_cancel", "operation", "Cancel", &format!("ta{{sv}} {operation} 0"));
    assert!(finish(&mut stage.client, operation).is_err(), "a render that was cancelled went well");
}

fn questions(stage: &mut Stage) {
    let told = stage.call("hello", "", "Hello", "t 1");
    assert_eq!(entry(&told, "protocol"), 1);
    let told = stage.call("status", "", "Status", "");
    let status = stage.status();
    assert_eq!(entry(&told, "pid"), status.pid);
    assert_eq!(entry(&told, "revision").as_u64(), Some(status.revision));
    assert_eq!(entry(&told, "driver")["name"]["data"], "stepped");
    let told = stage.call("session", "session", "Show", "");
    let session = stage.session();
    assert_eq!(entry(&told, "nodes").as_array().unwrap().len(), session.nodes.len());
    assert_eq!(entry(&told, "tempo").as_f64(), Some(93.5));
    let told = stage.call("node", "node", "Show", "s lead-vox");
    assert_eq!(entry(&told, "id").as_u64(), Some(session.node("lead-vox").unwrap().id.0));
    let told = stage.call("get", "node", "Get", "sa{sv} lead-vox 1 param s gain");
    assert_eq!(entry(&told, "params")[0]["value"]["data"].as_f64(), Some(-12.0));
    assert_eq!(entry(&told, "params")[0]["range"]["data"]["unit"]["data"], "dB");
    stage.call(
        "node_add",
        "node",
        "Add",
        "sa{sv} delay 2 name s late params a{sv} 2 frames d 480 report b true",
    );
    stage.call("link", "graph", "Connect", "ssa{sv} lead-vox late 0");
    stage.call("link", "graph", "Connect", "ssa{sv} late master 0");
    let told = stage.call("latency", "engine", "Latency", "");
    assert_eq!(entry(&told, "total"), 480);
    let told = stage.call("meters", "engine", "Meters", "");
    let Reply::Meters { meters } = ask(&mut stage.client, Query::Meters) else { panic!("no meters") };
    let names = |meters: &Json| -> Vec<String> {
        let all = meters.as_array().unwrap().iter();
        all.map(|meter| meter["node"]["data"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(names(entry(&told, "meters")), meters.iter().map(|m| m.node.clone()).collect::<Vec<_>>());
    let told = stage.call("drivers", "driver", "List", "");
    assert!(
        entry(&told, "drivers").as_array().unwrap().iter().any(|driver| driver["driver"]["data"] == "dummy")
    );
    let told = stage.call("schema", "", "Schema", "");
    let schema: Json = serde_json::from_str(entry(&told, "schema").as_str().unwrap()).unwrap();
    assert!(schema["command"]["oneOf"].is_array());
}

fn subscriptions(stage: &mut Stage) {
    let client = crate::streams::connect(&stage.bus);
    let call = |member: &str| {
        let options = std::collections::HashMap::<&str, zbus::zvariant::Value<'_>>::new();
        let (path, interface) = ("/org/aulos/Server", Some("org.aulos.Manager1"));
        match member {
            "Subscribe" => client.call_method(Some(NAME), path, interface, member, &(options,)),
            _ => client.call_method(Some(NAME), path, interface, member, &()),
        }
        .unwrap()
    };
    stage.called.extend(["subscribe", "unsubscribe"]);
    let news: zbus::zvariant::OwnedFd = call("Subscribe").body().deserialize().unwrap();
    let mut lines = crate::streams::Lines::new(OwnedFd::from(news));
    let first = lines.next().unwrap();
    assert_eq!(first["params"]["event"], "opened");
    assert_eq!(first["params"]["data"]["revision"].as_u64(), Some(stage.status().revision));
    stage.call("session_set", "session", "Set", "a{sv} 1 tempo d 94");
    let next = lines.next().unwrap();
    assert_eq!(next["params"]["event"], "changed");
    assert_eq!(next["params"]["data"]["revision"].as_u64(), Some(stage.status().revision));
    call("Unsubscribe");
    let last = lines.next().unwrap();
    assert_eq!(last["params"]["event"], "dropped");
    assert!(lines.next().is_none(), "it goes on after it was ended");
}

fn ends(stage: &mut Stage, folder: &Path) {
    stage.call("loudness_reset", "loudness", "Reset", "a{sv} 1 node s master");
    let Reply::Meters { meters } = ask(&mut stage.client, Query::Meters) else { panic!("no meters") };
    let master = meters.iter().find(|meter| meter.node == "master").unwrap();
    assert_eq!(master.loudness.and_then(|loudness| loudness.integrated), None);
    // A clock that stands still is not exchanged for one that goes, and lets nothing be heard: that needs a server of
    // its own.
    let real = Bus::start();
    let server = real.server(["--driver", "dummy", "--block", "256"]);
    stage.called.insert("driver_set");
    real.call("driver", "Driver1", "Set", "a{sv} 1 block t 128").unwrap();
    let Reply::Status(status) = ask(&mut server.client(), Query::Status) else { panic!("no status") };
    assert_eq!((status.driver.name.as_str(), status.driver.block), ("dummy", 128));
    assert_eq!(real.get("", "Manager1", "Quantum").unwrap(), 128);
    stage.called.insert("analyze");
    server.ok("node add tone beep level=-20dB");
    server.ok("link beep master");
    let told = real.call("node", "Nodes1", "Analyze", "sd master 0.2").unwrap();
    assert_eq!(entry(&told, "silent"), false);
    assert!(entry(&told, "frames").as_u64().is_some_and(|frames| frames > 0), "{told}");
    let channels = entry(&told, "channels").as_array().unwrap();
    assert!(
        channels.len() == 2 && channels.iter().all(|channel| channel["peak_db"]["type"] == "d"),
        "{told}"
    );
    let path = folder.join("one").display().to_string();
    stage.call("session_open", "session", "Open", &format!("sa{{sv}} {path} 1 discard b true"));
    assert_eq!((stage.session().tempo.get(), stage.names().len()), (93.5, 2));
    stage.call("shutdown", "", "Shutdown", "a{sv} 0");
    assert!(stage.server.wait().success());
}
