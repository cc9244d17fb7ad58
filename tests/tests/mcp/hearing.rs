//! Agents that hear: what is measured is what sounds.

use std::{io::Read, process::Stdio};

use aulos_tests::server::Server;
use serde_json::json;

use crate::agent::{Agent, Lines, block_on, spawn};

fn close(json: &serde_json::Value, wanted: f64) -> bool {
    json.as_f64().is_some_and(|number| (number - wanted).abs() < 0.1)
}

#[test]
fn what_sounds_now_is_measured_while_it_sounds() {
    let server = Server::start(["--driver", "dummy"]);
    server.ok("node add tone beep frequency=1kHz level=-20dB");
    server.ok("bus add mix --gain -3dB");
    server.ok("link beep mix");
    server.ok("link mix master");
    server.ok("track add quiet");
    block_on(async {
        let agent = Agent::new(&server, &[]).await;
        let heard = agent.ok("analyze", json!({ "node": "mix", "seconds": 1 })).await;
        assert_eq!((&heard["live"], &heard["node"]), (&json!(true), &json!("mix")));
        assert!(heard["frames"].as_u64().unwrap() > 20_000, "{heard}");
        assert!(close(&heard["peak_db"], -23.0) && close(&heard["rms_db"], -26.0), "{heard}");
        assert!(close(&heard["true_peak_db"], -23.0), "{heard}");
        // A stereo sine of 1 kHz has the LUFS of its peak.
        assert!(close(&heard["integrated_lufs"], -23.0), "{heard}");
        let bands = heard["bands"].as_array().unwrap();
        let loudest = bands.iter().max_by(|a, b| a["db"].as_f64().partial_cmp(&b["db"].as_f64()).unwrap());
        assert_eq!(loudest.unwrap()["hz"], 1000.0, "{heard}");
        let master = agent.ok("analyze", json!({ "seconds": 0.5 })).await;
        assert_eq!(master["node"], "master");
        assert!(close(&master["peak_db"], -23.0), "{master}");
        let quiet = agent.ok("analyze", json!({ "node": "quiet", "seconds": 0.3 })).await;
        assert_eq!(quiet["silent"], true);
        assert!(quiet.get("peak_db").is_none(), "{quiet}");
        let said = agent.refused("analyze", json!({ "node": "beep" })).await;
        assert!(said.contains("what it is linked to"), "{said}");
        let meters = agent.ok("get_meters", json!({ "seconds": 0.5, "sounding": true })).await;
        let meters = meters["meters"].as_array().unwrap();
        let names: Vec<_> = meters.iter().map(|meter| meter["node"].as_str().unwrap()).collect();
        assert_eq!(names, ["master", "mix"]);
        assert!(close(&meters[1]["peak_db"][0], -23.0) && meters[0]["loudness"].is_object(), "{meters:?}");
    });
}

#[test]
fn a_clock_that_stands_is_told() {
    let server = Server::stepped();
    block_on(async {
        let agent = Agent::new(&server, &[]).await;
        let said = agent.refused("analyze", json!({ "seconds": 0.2 })).await;
        assert!(said.contains("driver"), "{said}");
    });
}

#[test]
fn the_same_is_measured_of_the_timeline() {
    let server = Server::stepped();
    server.ok("node add tone beep frequency=1kHz level=-20dB");
    server.ok("bus add mix --gain -3dB");
    server.ok("link beep mix");
    server.ok("link mix master");
    block_on(async {
        let agent = Agent::new(&server, &[]).await;
        for asked in [json!({ "start": 0, "end": "2s" }), json!({ "node": "mix", "end": "2s" })] {
            let heard = agent.ok("analyze", asked).await;
            assert_eq!(
                (&heard["live"], &heard["frames"], &heard["lost"]),
                (&json!(false), &json!(96_000), &json!(0))
            );
            assert!(close(&heard["peak_db"], -23.0) && close(&heard["integrated_lufs"], -23.0), "{heard}");
        }
    });
}

#[test]
fn diagnose_finds_why_there_is_no_sound() {
    let server = Server::stepped();
    server.ok("track add drums");
    server.ok("track add bass");
    server.ok("link drums master");
    block_on(async {
        let agent = Agent::new(&server, &[]).await;
        let found = |json: serde_json::Value, word: &str| {
            let findings = json["findings"].to_string();
            assert!(findings.contains(word), "{word}: {findings}");
        };
        found(agent.ok("diagnose", json!({ "node": "drums" })).await, "neither clips nor anything linked");
        let set = |param, value| json!({ "values": [{ "node": "drums", "param": param, "value": value }] });
        agent.ok("set", set("mute", json!(true))).await;
        found(agent.ok("diagnose", json!({ "node": "drums" })).await, "drums is muted");
        agent.ok("undo", json!({})).await;
        agent.ok("set", set("gain", json!("-inf"))).await;
        found(agent.ok("diagnose", json!({})).await, "drums/gain is at silence");
        agent.ok("undo", json!({})).await;
        agent.ok("disconnect", json!({ "links": [{ "from": "drums", "to": "master" }] })).await;
        found(agent.ok("diagnose", json!({ "node": "drums" })).await, "not linked on to an output");
        agent.ok("set", json!({ "values": [{ "node": "bass", "param": "solo", "value": true }] })).await;
        found(agent.ok("diagnose", json!({ "node": "drums" })).await, "bass is soloed");
    });
}

#[test]
fn listening_tells_its_progress_and_ends_when_nobody_waits() {
    let server = Server::start(["--driver", "dummy"]);
    let mut process = spawn(&server, &[]).stderr(Stdio::piped()).spawn().unwrap();
    let mut log = process.stderr.take().unwrap();
    let mut lines = Lines::of(process);
    lines.hello(json!({}));
    let params =
        json!({ "name": "analyze", "arguments": { "seconds": 60 }, "_meta": { "progressToken": 1 } });
    lines.say(&json!({ "jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": params }).to_string());
    let told = lines.hear();
    assert_eq!(told["method"], "notifications/progress", "{told}");
    assert!(lines.end().success());
    let mut said = String::new();
    log.read_to_string(&mut said).unwrap();
    assert!(!said.contains("does not end"), "{said}");
}
