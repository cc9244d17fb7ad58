use aulos_protocol::{Bpm, Decibels, Link, LinkId, NodeId, PortRef, Rate, Session, Slug, TransportState};
use proptest::prelude::*;

use super::*;

fn state() -> State {
    let mut session = Session::new("stage", Rate::default());
    let nodes = [
        (NodeKind::Track, "drums"),
        (NodeKind::Track, "7"),
        (NodeKind::Bus, "reverb"),
        (NodeKind::Master, "master"),
        (NodeKind::Click, "click"),
        (NodeKind::Eq, "tone"),
    ];
    for (at, (kind, name)) in nodes.into_iter().enumerate() {
        let slug = Slug::new(name).unwrap();
        let channels = if name == "7" { 1 } else { 2 };
        session.nodes.insert(Arc::new(Node::new(NodeId(at as u64 + 1), slug, kind, channels)));
    }
    let transport = TransportState { position: Frames(0), ..Default::default() };
    State { revision: 0, session, path: None, transport }
}

fn s(text: &str) -> OscType {
    OscType::String(text.into())
}

#[test]
fn things_are_found_by_name_by_number_and_by_pattern() {
    let state = state();
    for (address, found) in [
        ("/track/drums/gain", "/track/drums/gain"),
        ("/track/1/gain", "/track/drums/gain"),
        ("/track/2/gain", "/track/7/gain"),
        // A name comes before a number.
        ("/track/7/gain", "/track/7/gain"),
        ("/node/3/fader", "/bus/reverb/fader"),
        ("/node/drums/name", "/track/drums/name"),
        ("/master/gain", "/master/master/gain"),
        ("/transport/tempo", "/transport/tempo"),
    ] {
        assert_eq!(find(&state, address).unwrap().to_string(), found);
    }
    let gains = matching(&state, "/{track,bus}/*/gain").unwrap();
    let gains: Vec<_> = gains.iter().map(ToString::to_string).collect();
    assert_eq!(gains, ["/track/drums/gain", "/track/7/gain", "/bus/reverb/gain"]);
    for (address, part) in [
        ("/track/drum/gain", "did you mean \"drums\""),
        ("/track/drums/gian", "did you mean \"gain\""),
        ("/track/9/gain", ""),
        ("/track/0/gain", ""),
        ("/transport/temp", "/transport/tempo"),
        ("/bus/drums/gain", ""),
        ("/", ""),
        ("/x/*", ""),
    ] {
        let error = matching(&state, address).unwrap_err();
        assert_eq!(error.code, ErrorCode::NotFound);
        assert!(error.remedy.unwrap_or_default().contains(part), "{address}");
    }
}

#[test]
fn every_address_is_found_and_set_to_its_own_value() {
    let state = state();
    let mut addresses = std::collections::BTreeSet::new();
    for target in all(&state) {
        let address = target.to_string();
        assert_eq!(find(&state, &address).unwrap(), target);
        assert!(target.text().len() > 5 && addresses.insert(address.clone()), "{address}");
        let own = target.value(&state);
        assert!(!own.is_empty());
        match target.set(&own) {
            Ok(Command::SetParam { node, param, value }) => {
                let Target::Param(own, shown) = &target else { panic!("{address}") };
                assert_eq!((node.as_str(), param.as_str()), (own.slug.as_str(), shown.param.name));
                let before = params::get(own, shown.param);
                assert_eq!(shown.param.accept(value).unwrap(), before, "{address}");
            }
            Ok(_) => {}
            Err(error) => assert!(!target.is_writable(), "{address}: {error}"),
        }
    }
    let methods = registry::methods().iter().filter_map(|method| method.address);
    assert!(methods.into_iter().all(|address| !addresses.contains(address)));
}

#[test]
fn values_are_taken_from_any_type_and_brought_into_range() {
    use OscType::{Bool, Double, Float, Int};
    let state = state();
    let value = |address: &str, arg: OscType| match find(&state, address).unwrap().set(&[arg]) {
        Ok(Command::SetParam { value, .. }) => Some(value),
        Ok(other) => panic!("{other:?}"),
        Err(error) => {
            assert!(error.expected.is_some(), "{error:?}");
            None
        }
    };
    for (address, arg, read) in [
        ("/track/drums/gain", Int(-3), Some(Value::Number(-3.0))),
        ("/track/drums/gain", s("-3.5"), Some(Value::Number(-3.5))),
        ("/track/drums/gain", Float(99.0), Some(Value::Number(12.0))),
        ("/track/drums/gain", Float(f32::NEG_INFINITY), Some(Value::Silence)),
        ("/track/drums/gain", Float(f32::INFINITY), None),
        ("/track/drums/gain", Float(f32::NAN), None),
        ("/track/drums/gain", s("loud"), None),
        ("/track/drums/fader", Float(0.75), Some(Value::Number(0.0))),
        ("/track/drums/fader", Int(0), Some(Value::Silence)),
        ("/track/drums/mute", Float(1.0), Some(Value::Switch(true))),
        ("/track/drums/mute", Bool(false), Some(Value::Switch(false))),
        ("/track/drums/on", Int(1), Some(Value::Switch(false))),
        ("/track/7/pan_law", s("-6db"), Some(Value::name("-6dB"))),
        ("/track/7/pan_law", Int(0), Some(Value::name("-3dB"))),
        ("/track/7/pan_law", Int(9), None),
        ("/track/drums/pan", Double(-7.0), Some(Value::Number(-1.0))),
    ] {
        assert_eq!(value(address, arg.clone()), read, "{address} {arg:?}");
    }
}

#[test]
fn the_transport_and_the_session_are_values_too() {
    use OscType::{Float, Int, Long};
    let mut state = state();
    let set = |address: &str, args: &[OscType]| find(&state, address).unwrap().set(args);
    assert_eq!(set("/transport/state", &[Int(1)]).unwrap(), Command::Play);
    assert_eq!(set("/transport/frame", &[Long(480)]).unwrap(), Command::Locate { position: Frames(480) });
    let off = Command::Loop { start: None, end: None };
    assert_eq!(set("/transport/loop", &[Long(0), Long(0), Int(0)]).unwrap(), off);
    let on = Command::Loop { start: Some(Frames(0)), end: Some(Frames(96_000)) };
    assert_eq!(set("/transport/loop", &[Int(0), Int(96_000)]).unwrap(), on);
    let Command::SetSession { tempo, .. } = set("/transport/tempo", &[Float(5000.0)]).unwrap() else {
        panic!()
    };
    assert_eq!(tempo, Bpm::new(Bpm::MAX));
    for meter in [&[Int(7), Int(8)][..], &[s("7/8")]] {
        let Command::SetSession { signature, .. } = set("/transport/meter", meter).unwrap() else { panic!() };
        assert_eq!(signature, Signature::new(7, 8));
    }
    assert!(set("/transport/meter", &[Int(7)]).is_err() && set("/engine/rate", &[Int(48_000)]).is_err());
    let renamed = set("/track/drums/name", &[s("kit")]).unwrap();
    assert_eq!(renamed, Command::RenameNode { node: "drums".into(), name: "kit".into() });
    // At 120 a minute and 48 kHz a beat is 24,000 frames.
    state.transport.position = Frames(24_000 * 5 + 12_000);
    assert_eq!(find(&state, "/transport/bbt").unwrap().value(&state), [2, 2, 500].map(Int));
}

proptest! {
    #[test]
    fn a_fader_is_where_its_gain_is(db in -90.0f64..10.0) {
        prop_assert!((decibels(fader(db)) - db).abs() < 1e-9 || db == -90.0);
    }

    #[test]
    fn no_address_panics(address in "(/[a-z0-9*?\\[\\]{}!,-]{0,8}){0,4}", number in any::<f64>()) {
        let state = state();
        if let Ok(found) = matching(&state, &address) {
            for target in found {
                let _ = target.set(&[OscType::Double(number)]);
            }
        }
    }
}

#[test]
fn the_fader_has_no_corner_that_jumps() {
    for place in [0.0625, 0.25, 0.5] {
        assert!((decibels(place) - decibels(place - 1e-12)).abs() < 1e-6);
    }
    assert_eq!((decibels(0.0), decibels(0.75), decibels(1.0)), (f64::NEG_INFINITY, 0.0, 10.0));
    assert_eq!((fader(f64::NEG_INFINITY), fader(0.0), fader(12.0)), (0.0, 0.75, 1.0));
}

#[test]
fn sends_are_found_by_where_they_go_and_patterns_by_number_have_names() {
    let mut state = state();
    let ids = |state: &State, name: &str| state.session.node(name).unwrap().id;
    for (id, name) in [(20, "dry"), (21, "wet")] {
        let node = Node::new(NodeId(id), Slug::new(name).unwrap(), NodeKind::Send, 2);
        state.session.nodes.insert(Arc::new(node));
    }
    let (drums, reverb, master) = (ids(&state, "drums"), ids(&state, "reverb"), ids(&state, "master"));
    let links = [(drums, NodeId(20)), (NodeId(20), master), (drums, NodeId(21)), (NodeId(21), reverb)];
    for (id, (from, to)) in (1..).zip(links) {
        let port = |node, name: &str| PortRef { node, port: name.into() };
        let link = Link {
            id: LinkId(id),
            from: port(from, "out_L"),
            to: port(to, "in_L"),
            gain: Decibels::UNITY,
            unknown: Default::default(),
        };
        state.session.links.insert(Arc::new(link));
    }
    for (address, found) in [
        ("/track/drums/send/reverb/gain", "/send/wet/level"),
        ("/track/1/send/1/pan", "/send/dry/pan"),
        ("/node/drums/send/2/fader", "/send/wet/fader"),
    ] {
        assert_eq!(find(&state, address).unwrap().to_string(), found);
        assert_eq!(named(&state, address), found);
    }
    let error = find(&state, "/track/drums/send/revreb/gain").unwrap_err();
    assert_eq!(
        (error.code, error.remedy.as_deref()),
        (ErrorCode::NotFound, Some("did you mean \"reverb\"?"))
    );
    assert!(find(&state, "/bus/reverb/send/1/gain").is_err());
    for (pattern, name) in [
        ("/track/1/*", "/track/drums/*"),
        ("/master/{gain,mute}", "/master/master/{gain,mute}"),
        ("/track/*/gain", "/track/*/gain"),
        ("/track/99/*", "/track/99/*"),
        ("/meter/track/*", "/meter/track/*"),
    ] {
        assert_eq!(named(&state, pattern), name);
    }
    assert_eq!(matching(&state, "/track/1/{gain,pan}").unwrap().len(), 2);
}
