//! What objects there are, what they say of themselves, and their properties.

use aulos_protocol::{Command, NewNode, NodeKind, Query, Reply, params, registry};
use aulos_tests::{
    bus::{Bus, NAME, path},
    server::{apply, ask, project},
};

fn stage() -> (Bus, aulos_tests::server::Server) {
    let bus = Bus::start();
    let server = bus.server(["--driver", "stepped", "--block", "1024"]);
    let mut client = server.client();
    for (kind, channels) in NodeKind::ALL.into_iter().zip([1, 2, 6].into_iter().cycle()) {
        let name = Some(format!("a-{kind}_{channels}"));
        let is_whole = matches!(kind, NodeKind::Master | NodeKind::Vca | NodeKind::Group);
        let channels = (!is_whole).then_some(channels);
        apply(&mut client, Command::AddNode(NewNode { kind, name, channels, params: Default::default() }));
    }
    (bus, server)
}

#[test]
fn every_object_is_found_and_says_what_it_is() {
    let (bus, server) = stage();
    // gdbus reads the XML of every object, and fails if one is not well-formed.
    let all = bus.gdbus_says(["introspect", "--session", "--recurse", "-d", NAME, "-o", "/"]);
    for node in server
        .client()
        .query(Query::Session)
        .map(|reply| match reply {
            Reply::Session(session) => session.nodes.in_order().into_iter().cloned().collect::<Vec<_>>(),
            other => panic!("{other:?}"),
        })
        .unwrap()
    {
        let element = node.slug.as_str().replace('_', "_5f").replace('-', "_2d");
        let begin = format!("node {} {{", path(&format!("node/{element}")));
        let at = all.find(&begin).unwrap_or_else(|| panic!("no {begin}"));
        let text = &all[at..];
        let kind = node.kind.name();
        let interface = format!("interface org.aulos.{}{}1 {{", kind[..1].to_uppercase(), &kind[1..]);
        let at = text.find(&interface).unwrap_or_else(|| panic!("no {interface}"));
        for param in params::of(node.kind, node.channels) {
            let camel: String = param
                .name
                .split('_')
                .map(|word| format!("{}{}", word[..1].to_uppercase(), &word[1..]))
                .collect();
            assert!(text[at..].contains(&format!(" {camel} = ")), "{interface} {camel}");
        }
    }
    let tree = bus.busctl_says(&["--list"], ["tree", NAME]).unwrap();
    assert!(tree.contains("/org/aulos/Server/node/a_2dtrack_5f6"), "{tree}");
    let told = bus.busctl_says(&[], ["introspect", NAME, "/org/aulos/Server/transport"]).unwrap();
    let tempo = told.lines().find(|line| line.starts_with(".Tempo ")).unwrap();
    assert!(tempo.contains("120") && tempo.contains("emits-change writable"), "{tempo}");
    let position = told.lines().find(|line| line.starts_with(".Position ")).unwrap();
    assert!(!position.contains("emits-change") && !position.contains("const"), "{position}");
    for word in ["graph", "transport", "session", "engine", "driver", "node"] {
        assert!(all.contains(&format!("node {} {{", path(word))), "{word}");
    }
}

#[test]
fn every_member_has_its_text() {
    let (bus, _server) = stage();
    let xml =
        bus.gdbus_says(["introspect", "--session", "--xml", "-d", NAME, "-o", "/org/aulos/Server/clip"]);
    let method = registry::method("clip_add").unwrap();
    assert!(xml.contains(&method.text), "{xml}");
    for field in &method.fields {
        assert!(xml.contains(&field.text.replace('"', "&quot;")), "{}: {xml}", field.name);
    }
    // Everything that has a name has a text: interfaces, members, arguments, properties and signals of ours.
    for object in ["", "node", "graph", "session", "transport", "engine", "operation", "node/master"] {
        let xml =
            bus.gdbus_says(["introspect", "--session", "--xml", "-d", NAME, "-o", path(object).as_str()]);
        let lines: Vec<_> = xml.lines().map(str::trim).collect();
        let ours = lines.iter().position(|line| line.starts_with("<interface name=\"org.aulos.")).unwrap();
        for (at, line) in lines.iter().enumerate().skip(ours) {
            let named = ["<interface ", "<method ", "<arg ", "<property ", "<signal "];
            if named.iter().any(|begin| line.starts_with(begin)) {
                let next = lines[at + 1];
                let text = next.strip_prefix("<annotation name=\"org.gtk.GDBus.DocString\" value=\"");
                assert!(text.is_some_and(|text| text.len() > 10), "{object}: {line} has no text: {next}");
            }
        }
    }
}

#[test]
fn the_page_is_what_the_server_says() {
    let printed =
        std::process::Command::new(aulos_tests::server::aulosd()).arg("--dbus-reference").output().unwrap();
    assert!(printed.status.success());
    let page = std::fs::read(project().join("docs/dbus.md")).unwrap();
    assert!(
        page == printed.stdout,
        "docs/dbus.md is not what it says: aulosd --dbus-reference > docs/dbus.md"
    );
}

#[test]
fn managed_objects_are_all_objects_with_their_values() {
    let (bus, server) = stage();
    let manager = "org.freedesktop.DBus.ObjectManager";
    let told = bus.busctl(["call", NAME, &path(""), manager, "GetManagedObjects"]).unwrap();
    let objects = told["data"][0].as_object().unwrap();
    let Reply::Session(session) = ask(&mut server.client(), Query::Session) else { panic!("no session") };
    let nodes = objects.keys().filter(|path| path.starts_with("/org/aulos/Server/node/")).count();
    assert_eq!(nodes, session.nodes.len());
    let master = &objects["/org/aulos/Server/node/master"];
    assert_eq!(master["org.aulos.Node1"]["Kind"]["data"], "master");
    assert_eq!(master["org.aulos.Master1"]["Gain"]["data"].as_f64(), Some(0.0));
    assert_eq!(objects["/org/aulos/Server/transport"]["org.aulos.Transport1"]["Rolling"]["data"], false);
    let names = master["org.aulos.Node1"]["Ports"]["data"].as_array().unwrap();
    assert!(names.iter().any(|port| port[0] == "out_L" && port[1] == "out" && port[2] == "out"), "{names:?}");
}

#[test]
fn properties_are_read_and_set_and_each_is_a_step_of_its_own() {
    let (bus, server) = stage();
    let mut client = server.client();
    bus.set("node/a_2dtrack_5f6", "Track1", "Gain", "d -6.5").unwrap();
    assert_eq!(bus.get("node/a_2dtrack_5f6", "Track1", "Gain").unwrap().as_f64(), Some(-6.5));
    bus.set("node/master", "Master1", "Mute", "b true").unwrap();
    assert_eq!(bus.get("node/master", "Master1", "Mute").unwrap(), true);
    let Reply::Session(session) = ask(&mut client, Query::Session) else { panic!("no session") };
    assert_eq!(params::number(session.node("a-track_6").unwrap(), "gain"), Some(-6.5));
    apply(&mut client, Command::Undo);
    assert_eq!(bus.get("node/master", "Master1", "Mute").unwrap(), false);
    assert_eq!(bus.get("node/a_2dtrack_5f6", "Track1", "Gain").unwrap().as_f64(), Some(-6.5));

    bus.set("transport", "Transport1", "Tempo", "d 77").unwrap();
    bus.set("transport", "Transport1", "Signature", "s 6/8").unwrap();
    bus.set("transport", "Transport1", "LoopRange", "(tt) 100 2000").unwrap();
    bus.set("session", "Session1", "Name", "s gig").unwrap();
    bus.set("session", "Session1", "EditFadeMs", "d 7").unwrap();
    bus.set("session", "Session1", "MaxLatencyMs", "d 5000").unwrap();
    let Reply::Session(session) = ask(&mut client, Query::Session) else { panic!("no session") };
    assert_eq!((session.tempo.get(), session.signature.to_string().as_str()), (77.0, "6/8"));
    assert_eq!((session.loop_frames(), session.name.as_str()), (Some((100, 2000)), "gig"));
    assert_eq!((session.edit_fade_ms, session.max_latency_ms), (7.0, 5000.0));
    bus.set("transport", "Transport1", "LoopRange", "(tt) 0 0").unwrap();
    assert_eq!(bus.get("transport", "Transport1", "LoopRange").unwrap(), serde_json::json!([0, 0]));
    // A node that is renamed is another object.
    bus.set("node/master", "Node1", "Name", "s mix").unwrap();
    assert_eq!(bus.get("node/mix", "Node1", "Kind").unwrap(), "master");
    assert!(bus.get("node/master", "Node1", "Kind").unwrap_err().contains("no object"));
    // Those that are asked for anew each time.
    let before = bus.get("engine", "Engine1", "Frame").unwrap().as_u64().unwrap();
    bus.call("", "Manager1", "Step", "ata{sv} 1 100 0").unwrap();
    assert_eq!(bus.get("engine", "Engine1", "Frame").unwrap().as_u64(), Some(before + 100));
    assert_eq!(bus.get("session", "Session1", "Unsaved").unwrap(), true);
}

#[test]
fn the_graph_is_told_once_for_each_revision() {
    let (bus, server) = stage();
    let told = bus.busctl(["call", NAME, &path("graph"), "org.aulos.Graph1", "GetGraph", "t", "0"]).unwrap();
    let revision = told["data"][0].as_u64().unwrap();
    let Reply::Session(session) = ask(&mut server.client(), Query::Session) else { panic!("no session") };
    assert_eq!(told["data"][1].as_array().unwrap().len(), session.nodes.len());
    assert_eq!(told["data"][2].as_array().unwrap().len(), session.links.len());
    assert_eq!(bus.get("graph", "Graph1", "Revision").unwrap().as_u64(), Some(revision));
    let known = revision.to_string();
    let told =
        bus.busctl(["call", NAME, &path("graph"), "org.aulos.Graph1", "GetGraph", "t", &known]).unwrap();
    assert_eq!(told["data"], serde_json::json!([revision, [], []]));
}
