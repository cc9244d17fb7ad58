//! An agent that knows nothing beforehand builds a mix.

use std::sync::atomic::Ordering::Relaxed;

use aulos_protocol::{NodeKind, Query, Reply, Session, params};
use aulos_tests::server::{Server, ask, read_wav};
use serde_json::json;

use crate::agent::{Agent, block_on};

fn session(server: &Server) -> Session {
    match ask(&mut server.client(), Query::Session) {
        Reply::Session(session) => *session,
        other => panic!("{other:?}"),
    }
}

/// A second of a tone for a track, as a WAV file.
fn tone(server: &Server, n: u32) -> String {
    let path = server.folder().join(format!("tone{n}.wav"));
    let spec = hound::WavSpec {
        channels: 1,
        sample_rate: 48_000,
        bits_per_sample: 32,
        sample_format: hound::SampleFormat::Float,
    };
    let mut writer = hound::WavWriter::create(&path, spec).unwrap();
    for frame in 0..48_000u32 {
        let turn = f64::from(frame) * f64::from(110 * (n + 1)) / 48_000.0 * std::f64::consts::TAU;
        writer.write_sample((turn.sin() * 0.1) as f32).unwrap();
    }
    writer.finalize().unwrap();
    path.display().to_string()
}

#[test]
fn eight_tracks_a_send_a_click_and_a_render_take_few_calls_and_one_undo() {
    let server = Server::start(["--driver", "dummy"]);
    let before = session(&server);
    let out = server.folder().join("mix.wav");
    block_on(async {
        let agent = Agent::new(&server, &[]).await;
        let overview = agent.ok("get_overview", json!({})).await;
        let names: Vec<_> = overview["nodes"].as_array().unwrap().iter().map(|n| n["kind"].clone()).collect();
        assert!(names.contains(&json!("master")) && names.contains(&json!("output")));
        let tracks: Vec<_> = (0..8)
            .map(|n| {
                json!({
                    "op": "add_track",
                    "name": format!("part-{}", n + 1),
                    "channels": 1,
                    "gain_db": -3.0 - f64::from(n),
                    "pan": f64::from(n) / 3.5 - 1.0,
                    "clips": [{ "file": tone(&server, n), "at": "1|2" }],
                    "sends": if n % 2 == 0 { json!([{ "to": "room", "level_db": -12 }]) } else { json!([]) },
                })
            })
            .chain([json!({ "op": "click", "level_db": -20, "pattern": "Xxxx" })])
            .collect();
        let tried = agent.ok("apply", json!({ "operations": tracks, "dry_run": true })).await;
        assert_eq!(tried["dry_run"], true);
        assert_eq!(session(&server), before, "a dry run changes nothing");
        let done = agent.ok("apply", json!({ "operations": tracks })).await;
        assert_eq!(done["changes"], tried["changes"]);
        let analysis = agent.ok("analyze", json!({ "start": 0, "end": "2s" })).await;
        assert_eq!(analysis["live"], false);
        assert!(analysis["peak_db"].as_f64().unwrap() > -30.0, "{analysis}");
        assert!(analysis["integrated_lufs"].as_f64().unwrap() > -50.0, "{analysis}");
        let rendered = agent.ok("render", json!({ "path": out, "end": "2s", "tail": "500ms" })).await;
        assert_eq!(rendered["path"], json!(out));
        agent.ok("transport", json!({ "action": "play" })).await;
        let now = agent.ok("get_overview", json!({ "since_revision": overview["revision"] })).await;
        assert!(now["nodes"].as_array().unwrap().iter().any(|node| node["name"] == "part-8"), "{now}");

        let built = session(&server);
        assert_eq!(built.nodes.of_kind(NodeKind::Track), 8);
        assert_eq!(built.nodes.of_kind(NodeKind::Send), 4);
        assert_eq!(built.nodes.of_kind(NodeKind::Click), 1);
        let part = built.node("part-3").unwrap();
        assert_eq!(params::number(part, "gain"), Some(-5.0));
        assert_eq!(part.clips[0].at.0, 24_000, "a beat at 120 bpm");
        assert!(
            built.links.between(built.node("room").unwrap().id, built.node("master").unwrap().id).count()
                == 2
        );

        agent.ok("undo", json!({})).await;
        let (calls, bytes) = (agent.calls.load(Relaxed), agent.bytes.load(Relaxed));
        assert!(calls <= 10 && bytes <= 80_000, "{calls} calls, {bytes} bytes");
    });
    let after = session(&server);
    assert_eq!((after.nodes, after.links), (before.nodes, before.links), "one undo takes all of it back");
    let samples = read_wav(&out);
    assert_eq!((samples.len(), samples[0].len()), (2, 120_000));
    // The click begins at once, the tones half a second later.
    assert!(samples[0][..100].iter().any(|x| *x != 0.0));
    assert!(samples[0][30_000..60_000].iter().any(|x| x.abs() > 0.01));
}

#[test]
fn what_belongs_together_is_made_by_a_tool_each() {
    let server = Server::stepped();
    block_on(async {
        let agent = Agent::new(&server, &[]).await;
        let tracks = json!([{ "name": "drums" }, { "name": "voice", "channels": 1, "to": "none" }]);
        let made = agent.ok("add_tracks", json!({ "tracks": tracks })).await;
        assert_eq!(made["nodes"], json!(["drums", "voice"]));
        agent.ok("add_send", json!({ "from": ["drums", "voice"], "to": "room", "pre": true })).await;
        agent.ok("set_click", json!({ "level_db": -6 })).await;
        agent.ok("connect", json!({ "links": [{ "from": "voice", "to": "master", "gain_db": -6 }] })).await;
        let built = session(&server);
        let room = built.node("room").unwrap();
        for (from, send, channels) in [("drums", "drums-room", 2), ("voice", "voice-room", 1)] {
            let (from, send) = (built.node(from).unwrap(), built.node(send).unwrap());
            assert_eq!(send.channels, channels);
            let link = built.links.between(from.id, send.id).next().unwrap();
            assert!(link.from.port.starts_with("pre"), "{link:?}");
            assert_eq!(built.links.between(send.id, room.id).count(), 2);
        }
        let links = agent.ok("query", json!({ "what": "links", "node": "voice" })).await;
        let to_master =
            links["items"].as_array().unwrap().iter().find(|l| l["to"] == "master:in").unwrap().clone();
        assert_eq!(to_master["gain"], -6.0);

        agent.ok("set_click", json!({ "on": false })).await;
        let click = agent.ok("get_params", json!({ "node": "click", "param": "level" })).await;
        assert_eq!(click["params"][0]["value"], "-inf");
        agent.ok("disconnect", json!({ "links": [{ "from": "voice", "to": "master" }] })).await;
        let removed = agent.ok("remove", json!({ "nodes": ["drums", "drums-room"] })).await;
        assert!(
            removed["changes"].as_array().unwrap().iter().any(|line| line == "- track drums"),
            "{removed}"
        );
        agent.ok("undo", json!({})).await;
        assert!(session(&server).node("drums").is_some());
        agent.ok("redo", json!({})).await;
        assert!(session(&server).node("drums").is_none());
    });
}

#[test]
fn sets_tell_what_was_reached_and_pages_go_on() {
    let server = Server::stepped();
    block_on(async {
        let agent = Agent::new(&server, &[]).await;
        let names: Vec<_> = (0..120).map(|n| format!("t{n}")).collect();
        let operations: Vec<_> =
            names.iter().map(|name| json!({ "op": "node_add", "kind": "track", "name": name })).collect();
        agent.ok("apply", json!({ "operations": operations })).await;
        let values = json!([
            { "node": "t3", "param": "gain", "value": -3.5 },
            { "node": "t3", "param": "mute", "value": 1 },
            { "node": "t4", "param": "pan", "value": -1 },
        ]);
        let set = agent.ok("set", json!({ "values": values })).await;
        assert_eq!(set["values"][0]["shown"], "-3.50 dB");
        assert_eq!(set["values"][1]["value"], true);
        assert_eq!(set["values"][2]["shown"], "L100");
        let mut seen = Vec::new();
        let mut asked = json!({ "what": "nodes", "kind": "track", "limit": 50 });
        loop {
            let page = agent.ok("query", asked.clone()).await;
            assert_eq!(page["total"], 120);
            seen.extend(page["items"].as_array().unwrap().iter().map(|node| node["name"].clone()));
            match page.get("cursor") {
                Some(cursor) => asked["cursor"] = cursor.clone(),
                None => break,
            }
        }
        assert_eq!(seen, names.iter().map(|name| json!(name)).collect::<Vec<_>>());
        let few = agent.ok("get_overview", json!({ "limit": 5, "fields": ["nodes"] })).await;
        assert_eq!(few["nodes"].as_array().unwrap().len(), 5);
        assert!(few["more"].as_str().unwrap().contains("more nodes") && few.get("driver").is_none());
    });
}
