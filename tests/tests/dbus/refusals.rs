//! What is refused, by which name, and what is said.

use aulos_protocol::{Query, Reply};
use aulos_tests::{
    bus::{Bus, NAME, path},
    server::ask,
};
use zbus::zvariant::Value;

use crate::streams::connect;

/// The name and the text of the error that a call is answered with.
#[track_caller]
fn refused<B: serde::Serialize + zbus::zvariant::DynamicType>(
    client: &zbus::blocking::Connection,
    object: &str,
    interface: &str,
    member: &str,
    body: &B,
) -> (String, String) {
    match client.call_method(Some(NAME), object, Some(interface), member, body) {
        Err(zbus::Error::MethodError(name, text, _)) => (name.to_string(), text.unwrap_or_default()),
        other => panic!("{member}: {other:?}"),
    }
}

#[test]
fn errors_have_names_and_say_what_would_do() {
    let bus = Bus::start();
    let server = bus.server(["--driver", "stepped", "--block", "1024"]);
    for (object, interface, member, words, part) in [
        ("node", "Nodes1", "Set", "ssva{sv} mastr gain d 0 0", "did you mean \"master\"?"),
        ("node", "Nodes1", "Set", "ssva{sv} master gain d 13 0", "-144 to 12 dB"),
        ("node", "Nodes1", "Set", "ssva{sv} master gain d nan 0", "a number (d)"),
        ("node", "Nodes1", "Add", "sa{sv} trakc 0", "trakc"),
        ("node", "Nodes1", "Add", "sa{sv} bus 1 nmae s x", "did you mean \"name\"?"),
        ("node", "Nodes1", "Add", "sa{sv} bus 1 kind s x", "already"),
        ("node", "Nodes1", "Add", "sa{sv} bus 1 dry_run s x", "true or false"),
        ("node", "Nodes1", "Rename", "ssa{sv} master output 0", "output"),
        ("node", "Nodes1", "Move", "ssa{sv} master nowhere 0", "before:NAME"),
        ("graph", "Graph1", "Connect", "ssa{sv} master master 0", "master"),
        ("session", "Session1", "Open", "sa{sv} /nowhere 0", "/nowhere"),
        ("", "Manager1", "Undo", "a{sv} 0", "nothing to undo"),
        ("", "Manager1", "Hello", "t 99", "protocol 1"),
        ("", "Manager1", "Batch", "a(sa{sv})a{sv} 2 play 0 nod_add 0 0", "command 1 of the batch"),
    ] {
        let error = bus.call(object, interface, member, words).unwrap_err();
        assert!(error.contains(part), "{member} {words}: {error}");
    }
    drop(server);
}

#[test]
fn the_names_are_those_of_the_codes_and_of_the_specification() {
    let bus = Bus::start();
    let server = bus.server(["--driver", "stepped", "--block", "1024"]);
    let client = connect(&bus);
    let none = std::collections::HashMap::<&str, Value<'_>>::new();
    let node = path("node");
    let set = |node_name: &str, gain: f64| {
        refused(
            &client,
            &node,
            "org.aulos.Nodes1",
            "Set",
            &(node_name, "gain", Value::from(gain), none.clone()),
        )
        .0
    };
    assert_eq!(set("mastr", 0.0), "org.aulos.Error.NotFound");
    assert_eq!(set("master", 13.0), "org.aulos.Error.OutOfRange");
    assert_eq!(set("master", f64::INFINITY), "org.aulos.Error.InvalidArgument");
    let connect_self =
        refused(&client, &path("graph"), "org.aulos.Graph1", "Connect", &("master", "master", none.clone()));
    assert_eq!(connect_self.0, "org.aulos.Error.Cycle");
    let (name, text) = refused(&client, &node, "org.aulos.Nodes1", "Set", &("master",));
    assert_eq!(
        (name.as_str(), text.contains("\"ssva{sv}\"")),
        ("org.freedesktop.DBus.Error.InvalidArgs", true),
        "{text}"
    );
    let (name, text) = refused(&client, &node, "org.aulos.Nodes1", "Ad", &());
    assert_eq!(
        (name.as_str(), text.contains("\"Add\"")),
        ("org.freedesktop.DBus.Error.UnknownMethod", true),
        "{text}"
    );
    let (name, _) = refused(&client, &node, "org.aulos.Node1", "Add", &());
    assert_eq!(name, "org.freedesktop.DBus.Error.UnknownInterface");
    let (name, _) = refused(&client, &path("node/nobody"), "org.aulos.Node1", "Add", &());
    assert_eq!(name, "org.freedesktop.DBus.Error.UnknownObject");
    let properties = "org.freedesktop.DBus.Properties";
    let manager = "org.aulos.Manager1";
    for (member, body, expected) in [
        ("Get", ("org.aulos.Manager1", "Versoin"), "UnknownProperty"),
        ("Get", ("org.aulos.Manager2", "Version"), "UnknownInterface"),
    ] {
        let (name, _) = refused(&client, &path(""), properties, member, &body);
        assert_eq!(name, format!("org.freedesktop.DBus.Error.{expected}"));
    }
    let (name, _) = refused(&client, &path(""), properties, "Set", &(manager, "Version", Value::from("2")));
    assert_eq!(name, "org.freedesktop.DBus.Error.PropertyReadOnly");
    let (name, text) = refused(
        &client,
        &path("transport"),
        properties,
        "Set",
        &("org.aulos.Transport1", "Tempo", Value::from("fast")),
    );
    assert_eq!((name.as_str(), text.contains("type d")), ("org.aulos.Error.InvalidArgument", true), "{text}");
    let (name, _) =
        refused(&client, &path(""), "org.freedesktop.DBus.ObjectManager", "GetManagedObjects", &("x",));
    assert_eq!(name, "org.freedesktop.DBus.Error.InvalidArgs");
    // Without an interface, members are found by their name.
    let reply = client.call_method(Some(NAME), path("").as_str(), None::<&str>, "Status", &()).unwrap();
    assert!(reply.body().signature().to_string().contains("a{sv}"));
    client.call_method(Some(NAME), path("").as_str(), None::<&str>, "Ping", &()).unwrap();
    drop(server);
}

#[test]
fn a_dry_run_changes_nothing_a_wrong_revision_is_refused_and_a_frame_is_kept() {
    let bus = Bus::start();
    let server = bus.server(["--driver", "stepped", "--block", "1024"]);
    let mut client = server.client();
    let mut status = || match ask(&mut client, Query::Status) {
        Reply::Status(status) => *status,
        other => panic!("{other:?}"),
    };
    let before = status().revision;
    let told = bus.call("node", "Nodes1", "Add", "sa{sv} bus 1 dry_run b true").unwrap();
    assert_eq!(told["changes"]["type"], "aa{sv}");
    assert!(
        told["changes"]["data"].as_array().unwrap().iter().any(|change| !change["node"].is_null()),
        "{told}"
    );
    assert_eq!(status().revision, before);
    let error = bus.call("node", "Nodes1", "Add", "sa{sv} bus 1 if_revision t 99999").unwrap_err();
    assert!(error.contains("revision"), "{error}");
    let words = format!("sa{{sv}} bus 1 if_revision t {before}");
    bus.call("node", "Nodes1", "Add", &words).unwrap();
    let frame = status().driver.frame.0 + 300;
    let words = format!("ssva{{sv}} master gain d -20 1 at_frame t {frame}");
    let told = bus.call("node", "Nodes1", "Set", &words).unwrap();
    assert_eq!(told["frame"]["data"].as_u64(), Some(frame));
}
